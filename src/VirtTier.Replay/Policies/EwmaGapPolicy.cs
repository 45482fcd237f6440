// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay.Policies;

/// <summary>
/// Heat with a half-life of four rounds, and a gap: a page displaces another only if it is twice as hot. The usual
/// threshold policy with hysteresis.
/// </summary>
/// <param name="pages">Distinct pages of the trace.</param>
internal sealed class EwmaGapPolicy(int pages) : IReplayPolicy
{
    private const double HalfLifeRounds = 4;
    private const double Gap = 2;

    private static readonly double s_decay = Math.Pow(0.5, 1 / HalfLifeRounds);

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
        GapPlacement.Apply(placement, _heat, Gap);
        for (int page = 0; page < _heat.Length; page++)
            _heat[page] *= s_decay;
    }
}
