// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay.Policies;

/// <summary>Fills DRAM once and never moves a page.</summary>
internal sealed class FreezePolicy : IReplayPolicy
{
    /// <inheritdoc/>
    public void Observe(ReadOnlySpan<PageTouch> touches)
    {
    }

    /// <inheritdoc/>
    public void EndRound(ReplayPlacement placement)
    {
    }
}
