// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay.Policies;

/// <summary>Knows the coming round, and makes its most accessed pages fast, whatever the moves cost.</summary>
internal sealed class OracleRoundPolicy : IReplayPolicy
{
    private readonly TraceCounts _counts;
    private readonly double[] _coming;
    private int _round;

    /// <summary>An oracle for a trace.</summary>
    public OracleRoundPolicy(Trace trace)
    {
        ArgumentNullException.ThrowIfNull(trace);
        _counts = new TraceCounts(trace);
        _coming = new double[trace.Pages];
    }

    /// <inheritdoc/>
    public void Observe(ReadOnlySpan<PageTouch> touches)
    {
    }

    /// <inheritdoc/>
    public void EndRound(ReplayPlacement placement)
    {
        _round++;
        for (int page = 0; page < _coming.Length; page++)
        {
            _coming[page] = 0;
            foreach ((int round, int count) in _counts.Of(page))
            {
                if (round == _round)
                    _coming[page] = count;
            }
        }
        RankPlacement.Apply(placement, _coming);
    }
}
