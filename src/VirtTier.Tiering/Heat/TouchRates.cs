// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Tiering.Heat;

/// <summary>
/// How often pages are touched that every harvest of a round finds accessed, so that accessed bits tell them no longer
/// apart: from harvests after unequal times, the shortest of which few of them pass.
/// </summary>
/// <remarks>
/// <para>Touches are taken to come independently of each other at the page's rate, so that a harvest after a time t finds it
/// accessed with the chance 1 - exp(-rate t). Each harvest moves the logarithm of the rate along the gradient of the likelihood
/// of what was found, divided by the information that a round of such harvests has: what settles is the
/// likeliest rate, with older rounds fading. Harvests of 10, 40 and 200 ms tell rates from 1 to some 300 a second apart.</para>
/// <para>A byte for each page of the blocks in which some page is found accessed in all quarters of a round, and four bytes for
/// each other block. Nothing of it is saved: it is known again after some rounds.</para>
/// </remarks>
/// <param name="blocks">Blocks of 512 pages.</param>
internal sealed class TouchRates(int blocks)
{
    // Rates are kept as logarithms: 0 is one touch in 16 seconds, 255 nearly 4000 a second.
    private const int Octave = 16;
    private const int Rates = 256;
    private const int LeastLog2 = -4;

    // Where a page begins: in the middle of what may be.
    private const byte Unknown = 7 * Octave;

    // Rounds that a rate remembers. A round has an information of about .85 where times are a factor of 4 apart, so the error of
    // what settles, sqrt(1 / (2 * 16 * .85)), is a fifth: a factor of 2 is more than three times as much.
    private const int Memory = 16;

    // What a harvest may change, in octaves, for a block just begun, and later: programs' touches come in spells, and one pause
    // says little.
    private const double MostAtFirst = 4;
    private const double Most = 1;

    // Rounds after which a block without a page that was found in all quarters is forgotten.
    private const int Patience = 8;

    // Beyond so many touches in a harvest's time it finds every page, and tells nothing.
    private const double Saturated = 5;

    private const double UsualInformation = 0.85;
    private const double LeastInformation = 1e-3;
    private const double NewWeight = 0.25;

    // The mean has to be so many octaves off before it is taken to be another.
    private const double Slack = 0.6;

    private const int None = 0;
    private const int Wanted = -1;

    private static readonly double[] s_perSecond =
        [.. Enumerable.Range(0, Rates).Select(rate => Math.Pow(2, LeastLog2 + (rate / (double)Octave)))];

    // Of each block: one more than its place; none; or wanted from the next round on.
    private readonly int[] _places = new int[blocks];
    private readonly List<int> _wanted = [];
    private readonly Stack<int> _free = [];
    private readonly double[] _information = InformationAtFirst();
    private readonly double[] _running = new double[Rates];
    private readonly short[] _steps = new short[Memory * 2 * Rates];
    private readonly byte[] _classes = AllAsTheirBlocks();
    private byte[] _rates = [];
    private int[] _blockOf = [];
    private byte[] _age = [];
    private byte[] _quiet = [];
    private int _used;
    private uint _dither = 1;
    private double _sum;
    private double _pages;
    private double _mean;
    private int? _octave; // of the mean
    private bool _hasRound;

    /// <summary>Rounds with such harvests so far in which there was something to learn.</summary>
    public long Rounds { get; private set; }

    /// <summary>Touches a second that the weight 1 stands for: about the mean of the pages that are found accessed in all
    /// quarters. Null while unknown.</summary>
    public double? Usual => _octave is int octave ? Math.ScaleB(1, octave) : null;

    /// <summary>Whether the rates of a block's pages are kept.</summary>
    public bool Has(int block) => _places[block] > 0;

    /// <summary>Touches a second of a page of such a block.</summary>
    public double PerSecond(int page) => s_perSecond[RateOf(page)];

    /// <summary>The class of <see cref="AccessWeight"/> of such a page, while it is found accessed in all quarters.</summary>
    /// <param name="page">The page.</param>
    /// <param name="ofBlock">The class that its block has by itself.</param>
    public byte Weight(int page, byte ofBlock) => _classes[(ofBlock * Rates) + RateOf(page)];

    /// <summary>Takes in what one of a round's harvests found, of which at least two times differ.</summary>
    /// <param name="accessed">One bit a page.</param>
    /// <param name="sizes">One <see cref="MappingSize"/> for each block.</param>
    /// <param name="watched">Time since the harvest before.</param>
    public void Observe(ReadOnlySpan<ulong> accessed, ReadOnlySpan<MappingSize> sizes, TimeSpan watched)
    {
        if (!_hasRound)
            Begin();
        _hasRound = true;
        if (_used == 0)
            return;
        FillSteps(watched.TotalSeconds);
        for (int place = 0; place < _used; place++)
        {
            int block = _blockOf[place];
            if (block < 0)
                continue;
            ReadOnlySpan<short> steps = _steps.AsSpan(Math.Min((int)_age[place], Memory - 1) * 2 * Rates, 2 * Rates);
            Span<byte> rates = RatesAt(place);
            ReadOnlySpan<ulong> words = accessed.Slice(block * PageSizes.BlockPages / 64, PageSizes.BlockPages / 64);
            if (sizes[block] == MappingSize.Size2M)
                Move(rates[..1], words.ContainsAnyExcept(0UL) ? 1UL : 0, steps);
            else
            {
                for (int word = 0; word < words.Length; word++)
                {
                    Span<byte> pages = rates.Slice(word * 64, 64);
                    // Most pages near a busy one are not.
                    if (words[word] != 0 || pages.ContainsAnyExcept((byte)0))
                        Move(pages, words[word], steps);
                }
            }
        }
    }

    /// <summary>Ends a round, before it is taken in which pages were found in all of its quarters.</summary>
    public void EndRound()
    {
        if (!_hasRound)
            return;
        _hasRound = false;
        for (int place = 0; place < _used; place++)
        {
            if (_blockOf[place] < 0)
                continue;
            _age[place] = (byte)Math.Min(Memory, _age[place] + 1);
            if (_quiet[place]++ == Patience)
                Forget(_blockOf[place]);
        }
        if (_running[0] > 0)
        {
            for (int rate = 0; rate < Rates; rate++)
                _information[rate] += (Rounds == 0 ? 1 : NewWeight) * (_running[rate] - _information[rate]);
            Array.Clear(_running);
            Rounds++;
        }
        FollowMean();
    }

    /// <summary>Takes in that the round found a run of pages accessed in all quarters.</summary>
    public void AddSaturated(int firstPage, int count)
    {
        int last = (firstPage + count - 1) / PageSizes.BlockPages;
        for (int block = firstPage / PageSizes.BlockPages; block <= last; block++)
        {
            if (_places[block] == None)
            {
                _places[block] = Wanted;
                _wanted.Add(block);
            }
            else if (Has(block))
            {
                _quiet[_places[block] - 1] = 0;
                _pages += count;
                _sum += count * PerSecond(firstPage); // runs of such blocks are alike, or a page
            }
        }
    }

    /// <summary>Takes in that a page of such a block has come into use: until more is known its rate is no less than the usual. A
    /// rate falls within few rounds but climbs slowly, and meanwhile a busy page would be worth too little. It is for pages that
    /// were hardly accessed before: others are found in all quarters by chance now and then.</summary>
    public void Restart(int page)
    {
        ref byte rate = ref RatesAt(_places[page / PageSizes.BlockPages] - 1)[page % PageSizes.BlockPages];
        byte usual = _octave is int octave ? (byte)Math.Clamp((octave - LeastLog2) * Octave, 0, Rates - 1) : Unknown;
        rate = Math.Max(rate, usual);
    }

    /// <summary>Forgets a block.</summary>
    public void Forget(int block)
    {
        int place = _places[block] - 1;
        _places[block] = None;
        if (place < 0)
            return;
        _blockOf[place] = -1;
        _free.Push(place);
    }

    private static double[] InformationAtFirst() =>
        [.. s_perSecond.Select(rate => Math.Clamp(rate, LeastInformation, UsualInformation))];

    private static byte[] AllAsTheirBlocks() =>
        [.. Enumerable.Range(0, AccessWeight.Classes).SelectMany(weight => Enumerable.Repeat((byte)weight, Rates))];

    private int RateOf(int page) => RatesAt(_places[page / PageSizes.BlockPages] - 1)[page % PageSizes.BlockPages];

    private Span<byte> RatesAt(int place) => _rates.AsSpan(place * PageSizes.BlockPages, PageSizes.BlockPages);

    private void Begin()
    {
        foreach (int block in _wanted)
        {
            if (_places[block] != Wanted)
                continue;
            if (!_free.TryPop(out int place))
            {
                place = _used++;
                if (place == _blockOf.Length)
                    Grow();
            }
            _places[block] = place + 1;
            (_blockOf[place], _age[place], _quiet[place]) = (block, 0, 0);
            RatesAt(place).Fill(Unknown);
        }
        _wanted.Clear();
    }

    private void Grow()
    {
        int length = Math.Min(Math.Max(16, 2 * _blockOf.Length), blocks);
        Array.Resize(ref _rates, length * PageSizes.BlockPages);
        Array.Resize(ref _blockOf, length);
        Array.Resize(ref _age, length);
        Array.Resize(ref _quiet, length);
    }

    // What a harvest after a time changes, by age of the block, whether it found the page, and its rate; in 256ths.
    private void FillSteps(double seconds)
    {
        for (int rate = 0; rate < Rates; rate++)
        {
            double touches = s_perSecond[rate] * seconds;
            double missed = Math.Exp(-touches);
            double found = touches * missed / (1 - missed);
            _running[rate] += touches * found;
            double information = Math.Max(LeastInformation, _information[rate]);
            for (int age = 0; age < Memory; age++)
            {
                double gain = 1.0 / (age + 1), most = Octave * Math.Max(Most, MostAtFirst * gain);
                double octaves = gain / information / Math.Log(2) * Octave;
                int at = (2 * Rates * age) + rate;
                _steps[at] = (short)(256 * Math.Max(-most, -touches * octaves));
                _steps[at + Rates] = (short)(256 * (touches > Saturated ? 0 : Math.Min(most, found * octaves)));
            }
        }
    }

    // Steps are mostly smaller than what a byte can tell, so each is rounded up as often as it is near to that.
    private void Move(Span<byte> rates, ulong found, ReadOnlySpan<short> steps)
    {
        uint dither = _dither;
        foreach (ref byte rate in rates)
        {
            unchecked
            {
                dither = (dither * 1664525) + 1013904223; // Knuth's congruential generator: any will do
                int step = steps[(int)((found & 1) * Rates) + rate] + (int)(dither >> 24);
                rate = (byte)Math.Clamp(rate + (step >> 8), 0, Rates - 1);
            }
            found >>= 1;
        }
        _dither = dither;
    }

    private void FollowMean()
    {
        if (_pages == 0)
            return;
        double mean = _sum / _pages;
        _mean = _octave is null ? mean : _mean + (NewWeight * (mean - _mean));
        (_sum, _pages) = (0, 0);
        double log2 = Math.Log2(_mean);
        if (_octave is int octave && Math.Abs(log2 - octave) <= Slack)
            return;
        _octave = (int)Math.Round(log2);
        for (byte weight = 0; weight < AccessWeight.Classes; weight++)
        {
            for (int rate = 0; rate < Rates; rate++)
                _classes[(weight * Rates) + rate] =
                    AccessWeight.Heavier(weight, (int)Math.Round(Math.Log2(s_perSecond[rate])) - _octave.Value);
        }
    }
}
