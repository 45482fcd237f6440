// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Value;

/// <summary>
/// How a domain's slow accesses fall with the DRAM it is given: pages in groups of equal expected access rate, the busiest
/// first. The curve is convex: each page more helps at most as much as the page before.
/// </summary>
public sealed class DramCurve
{
    // The corners, of which each but the first ends a group: pages and accesses a second of all groups up to there.
    private readonly long[] _pages;
    private readonly double[] _fastRates;
    private readonly double[] _rates;

    /// <summary>A curve over groups of pages.</summary>
    /// <param name="groups">Pages, and accesses per page and second of each; in any order.</param>
    /// <param name="error">See <see cref="Error"/>.</param>
    /// <param name="worstError">See <see cref="WorstError"/>; as the other where not given.</param>
    public DramCurve(IEnumerable<(long Pages, double Rate)> groups, double error, double? worstError = null)
    {
        (long Pages, double Rate)[] sorted = [.. groups.Where(g => g.Pages > 0).OrderByDescending(g => g.Rate)];
        Error = error;
        WorstError = worstError ?? error;
        _pages = new long[sorted.Length + 1];
        _fastRates = new double[sorted.Length + 1];
        _rates = new double[sorted.Length];
        for (int i = 0; i < sorted.Length; i++)
        {
            _rates[i] = sorted[i].Rate;
            _pages[i + 1] = _pages[i] + sorted[i].Pages;
            _fastRates[i + 1] = _fastRates[i] + (sorted[i].Pages * sorted[i].Rate);
        }
    }

    private DramCurve(DramCurve whole, double share)
    {
        Error = whole.Error;
        WorstError = whole.WorstError;
        _pages = Array.ConvertAll(whole._pages, pages => (long)(pages * share));
        _rates = whole._rates;
        _fastRates = new double[_pages.Length];
        for (int i = 0; i < _rates.Length; i++)
            _fastRates[i + 1] = _fastRates[i] + ((_pages[i + 1] - _pages[i]) * _rates[i]);
    }

    /// <summary>Pages of the domain that have memory behind them.</summary>
    public long Pages => _pages[^1];

    /// <summary>Accesses a second expected of all pages.</summary>
    public double TotalRate => _fastRates[^1];

    /// <summary>
    /// How far the share that was predicted of the pages in DRAM was off of late, on average (0..1): one prediction a round,
    /// against what then was observed. It is 1 until the first one came due.
    /// </summary>
    public double Error { get; }

    /// <summary>The same of that amount of DRAM, whichever it is, of which the prediction was off most. Where nothing is moved
    /// only this one tells anything.</summary>
    public double WorstError { get; }

    /// <summary>The corners of the curve: with so many pages in DRAM, that share (0..1) of the accesses goes slow.</summary>
    public IEnumerable<(long Pages, double SlowShare)> Corners()
    {
        for (int i = 0; i < _pages.Length; i++)
            yield return (_pages[i], ShareBut(_fastRates[i]));
    }

    /// <summary>Accesses a second expected to be served fast by the busiest so many pages.</summary>
    public double FastRate(long pages)
    {
        int at = Array.BinarySearch(_pages, pages);
        if (at >= 0)
            return _fastRates[at];
        int end = ~at;
        if (end == 0)
            return 0;
        return end == _pages.Length ? TotalRate : _fastRates[end - 1] + ((pages - _pages[end - 1]) * _rates[end - 1]);
    }

    /// <summary>The share (0..1) of accesses that goes slow with so many pages in DRAM.</summary>
    public double SlowShare(long pages) => ShareBut(FastRate(pages));

    /// <summary>Pages that are accessed more often than a rate: what the domain would take if a page
    /// had to serve that much.</summary>
    internal long PagesAbove(double rate)
    {
        int low = 0;
        int high = _rates.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_rates[middle] > rate)
                low = middle + 1;
            else
                high = middle;
        }
        return _pages[low];
    }

    /// <summary>The curve of a part of the domain that is like the whole.</summary>
    /// <param name="share">How large a part, 0..1.</param>
    internal DramCurve Part(double share) => share >= 1 ? this : new DramCurve(this, share);

    /// <summary>The greatest rate of any page.</summary>
    internal double GreatestRate => _rates.Length > 0 ? _rates[0] : 0;

    private double ShareBut(double fastRate) => TotalRate > 0 ? Math.Max(0, 1 - (fastRate / TotalRate)) : 0;
}
