// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Replay.Policies;

/// <summary>Keeps the most recently accessed pages fast.</summary>
/// <param name="pages">Distinct pages of the trace.</param>
public sealed class LruPolicy(int pages) : IReplayPolicy
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
    public void EndRound(Placement placement) => RankPlacement.Apply(placement, _lastAccess);
}
