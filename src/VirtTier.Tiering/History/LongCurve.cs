// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.History;

/// <summary>
/// The curves of many rounds as one: the share of all accesses of hours that would have gone slow with so much DRAM all the time.
/// A busy hour counts more than an idle one, as its accesses do. Not safe for use by two threads at once.
/// </summary>
/// <remarks>The sums are kept at fixed sizes, eight an octave, and are straight lines between them. The curve of a round is
/// convex, so that this errs towards more DRAM.</remarks>
public sealed class LongCurve
{
    // A week's habits count; what was before fades.
    private const double Memory = 7 * 24 * 3600;

    // Accesses and seconds of a file that are more than this are none: all memory that an index can count, accessed at each of a
    // hundred harvests a second and each time as much as a page can be, comes to 1e18 in a week.
    private const double MostSummed = 1e24;
    private const double MostSeconds = 1e10;

    // Sums are made one by one, so that two which should be equal can be so far apart.
    private const double Rounding = 1e-6;

    private const int StepsOfOctave = 8;
    private const int Octaves = 22; // from one block to all that an index can count

    private static readonly long[] s_sizes =
    [
        0,
        .. Enumerable.Range(0, (Octaves * StepsOfOctave) + 1)
            .Select(step => (long)(PageSizes.BlockPages * Math.Pow(2, step / (double)StepsOfOctave))),
    ];

    private readonly double[] _fast = new double[s_sizes.Length];
    private double _all;
    private double _errors;
    private double _errorAccesses;
    private long _pages;

    /// <summary>Time that was observed, in seconds.</summary>
    public double Seconds { get; private set; }

    /// <summary>How far predicted shares were off where they were off most, on average over the accesses (0..1); null until one
    /// came due.</summary>
    public double? Error => _errorAccesses > 0 ? _errors / _errorAccesses : null;

    /// <summary>Takes in the curve of a round.</summary>
    /// <param name="curve">The curve.</param>
    /// <param name="seconds">How long it held.</param>
    public void Add(DramCurve curve, double seconds)
    {
        ArgumentNullException.ThrowIfNull(curve);
        ArgumentOutOfRangeException.ThrowIfNegative(seconds);
        double kept = Math.Exp(-seconds / Memory);
        Seconds += seconds;
        _pages = curve.Pages;
        double accesses = curve.TotalRate * seconds;
        _all = (_all * kept) + accesses;
        for (int i = 0; i < s_sizes.Length; i++)
            _fast[i] = (_fast[i] * kept) + (curve.FastRate(s_sizes[i]) * seconds);
        double checkedAccesses = curve.WorstError < 1 ? accesses : 0;
        _errors = (_errors * kept) + (curve.WorstError * checkedAccesses);
        _errorAccesses = (_errorAccesses * kept) + checkedAccesses;
    }

    /// <summary>The share (0..1) of accesses that would have gone slow with so many pages in DRAM.</summary>
    public double SlowShare(long pages)
    {
        if (_all <= 0 || pages >= _pages)
            return 0;
        int at = Array.BinarySearch(s_sizes, pages);
        if (at >= 0)
            return ShareAt(at);
        int right = ~at;
        if (right == s_sizes.Length)
            return ShareAt(right - 1);
        double part = (pages - s_sizes[right - 1]) / (double)(s_sizes[right] - s_sizes[right - 1]);
        return ShareAt(right - 1) + (part * (ShareAt(right) - ShareAt(right - 1)));
    }

    /// <summary>The least DRAM, in pages, with which no larger share (0..1) of accesses would have gone slow.</summary>
    public long PagesFor(double slowShare)
    {
        if (_all <= 0)
            return 0;
        for (int right = 0; right < s_sizes.Length; right++)
        {
            if (ShareAt(right) > slowShare)
                continue;
            if (right == 0)
                return 0;
            (double above, double below) = (ShareAt(right - 1), ShareAt(right));
            double part = (above - slowShare) / (above - below);
            return Math.Min(_pages, (long)Math.Ceiling(s_sizes[right - 1] + (part * (s_sizes[right] - s_sizes[right - 1]))));
        }
        return _pages;
    }

    /// <summary>Writes all of it.</summary>
    public void Write(BinaryWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        foreach (double value in (double[])[Seconds, _all, _errors, _errorAccesses, .. _fast])
            writer.Write(value);
        writer.Write(_pages);
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is no curve.</exception>
    public static LongCurve Read(BinaryReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        LongCurve curve = new() { Seconds = ReadSum(reader, MostSeconds, "time of a curve") };
        curve._all = ReadSum(reader, MostSummed, "number of accesses");
        double most = curve._all * (1 + Rounding);
        curve._errors = ReadSum(reader, most, "error of a curve");
        curve._errorAccesses = ReadSum(reader, most, "error of a curve");
        HeatFileFormat.Require(curve._errors <= curve._errorAccesses * (1 + Rounding), "error of a curve");
        double before = 0;
        foreach (ref double fast in curve._fast.AsSpan())
        {
            fast = ReadSum(reader, most, "number of accesses");
            HeatFileFormat.Require(fast >= before * (1 - Rounding), "number of accesses");
            before = fast;
        }
        curve._pages = reader.ReadInt64();
        HeatFileFormat.Require(curve._pages is >= 0 and <= int.MaxValue, "number of pages");
        return curve;
    }

    private static double ReadSum(BinaryReader reader, double most, string what)
    {
        double sum = reader.ReadDouble();
        HeatFileFormat.Require(sum >= 0 && sum <= most, what);
        return sum;
    }

    private double ShareAt(int size) => Math.Max(0, 1 - (_fast[size] / _all));
}
