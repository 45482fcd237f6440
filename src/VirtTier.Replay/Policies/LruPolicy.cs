// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay.Policies;

/// <summary>Keeps the most recently accessed pages fast.</summary>
/// <param name="pages">Distinct pages of the trace.</param>
internal sealed class LruPolicy(int pages) : IReplayPolicy
{
    private readonly double[] _lastAccess = new double[pages];
    private long _accesses;

    /// <inheritdoc/>
    public void Observe(ReadOnlySpan<PageTouch> touches)
    {
        // Accessed bits do not tell the order within a harvest.
        _accesses++;
        foreach (PageTouch touch in touches)
            _lastAccess[touch.Page] = _accesses;
    }

    /// <inheritdoc/>
    public void EndRound(ReplayPlacement placement) => RankPlacement.Apply(placement, _lastAccess);
}
