// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay.Policies;

/// <summary>
/// The policy of kvm_hybridmem, from which this project grew: each sample adds to a page's temperature by its kind, time
/// halves it, and a slow page displaces a fast one whose temperature, with a tolerance, is lower.
/// </summary>
/// <param name="pages">Distinct pages of the trace.</param>
internal sealed class SeedPolicy(int pages) : IReplayPolicy
{
    // There the numbers are arguments, to be found by trial for each workload; here they are middling and fixed.
    private const double PerRead = 1;
    private const double PerWrite = 2;
    private const double PerFetch = 1;
    private const double Tolerance = 0.2;
    private const double HalfLifeRounds = 2;

    private static readonly double s_decay = Math.Pow(0.5, 1 / HalfLifeRounds);

    private readonly double[] _temperature = new double[pages];

    /// <inheritdoc/>
    public void Observe(ReadOnlySpan<PageTouch> touches)
    {
        foreach (PageTouch touch in touches)
            _temperature[touch.Page] += (PerRead * touch.Reads) + (PerWrite * touch.Writes) + (PerFetch * touch.Fetches);
    }

    /// <inheritdoc/>
    public void EndRound(ReplayPlacement placement)
    {
        GapPlacement.Apply(placement, _temperature, 1 + Tolerance);
        for (int page = 0; page < _temperature.Length; page++)
            _temperature[page] *= s_decay;
    }
}
