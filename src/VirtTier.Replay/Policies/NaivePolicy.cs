// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay.Policies;

/// <summary>Re-places by heat at the end of each round, whatever it costs: the pages most accessed in
/// the round are made fast.</summary>
internal sealed class NaivePolicy(int pages) : IReplayPolicy
{
    private readonly double[] _heat = new double[pages];

    /// <inheritdoc/>
    public void Observe(ReadOnlySpan<PageTouch> touches)
    {
        foreach (PageTouch touch in touches)
            _heat[touch.Page] += touch.Count;
    }

    /// <inheritdoc/>
    public void EndRound(ReplayPlacement placement)
    {
        RankPlacement.Apply(placement, _heat);
        Array.Clear(_heat);
    }
}
