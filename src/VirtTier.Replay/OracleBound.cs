// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay;

/// <summary>The best placement that never changes.</summary>
internal static class OracleBound
{
    /// <summary>What a trace would come to with the pages that it accesses most fast from the start, and no moves.</summary>
    public static ReplayResult Run(Trace trace, int budget, double cost)
    {
        ArgumentNullException.ThrowIfNull(trace);
        TraceCounts counts = new(trace);
        long[] totals = new long[counts.Pages];
        for (int page = 0; page < totals.Length; page++)
            totals[page] = -counts.Total(page);
        Array.Sort(totals);
        long fast = 0;
        for (int i = 0; i < budget; i++)
            fast -= totals[i];
        return new ReplayResult(trace.Pages, budget, trace.Accesses, fast, Moves: 0, cost);
    }
}
