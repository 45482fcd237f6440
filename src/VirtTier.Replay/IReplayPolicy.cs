// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay;

/// <summary>Decides what moves at the end of each round of a replayed trace, and within it where that is asked for.</summary>
public interface IReplayPolicy
{
    /// <summary>Shows what was touched in one harvest. With accessed bits every count is 1.</summary>
    void Observe(ReadOnlySpan<PageTouch> touches);

    /// <summary>Decides what cannot wait for the end of the round, after each of its harvests but the last.</summary>
    void EndHarvest(ReplayPlacement placement)
    {
    }

    /// <summary>Decides: moves pages for the rounds to come.</summary>
    void EndRound(ReplayPlacement placement);
}
