// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.History;
using VirtTier.Tiering.Splitting;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Planning;

/// <summary>
/// Decides for one domain which pages should change tier: fed with accessed bits several times a round, asked for a plan
/// at the end of it, and within it for room for pages that are born. Pure: no I/O, no clock, no threads;
/// not safe for use by two threads at once.
/// </summary>
/// <remarks>
/// Pages are 4 KiB, numbered 0..N-1 without holes by the caller. Memory: two bytes a page, one for each 128 KiB, ten for each
/// 2 MiB, eight for each 4 MiB (at most 128 KiB of them), and lists as long as the moves of a round. Of pages mapped as 2 MiB
/// only the first one's bytes and those of sampled ones are touched.
/// </remarks>
public sealed partial class PlacementPlanner
{
    private const int WordPages = 64;

    // Rounds with glances until rates are known as well as ever, and how rare they are then: two more harvests in one
    // of four rounds are an eighth more.
    private const int RoundsWithGlances = 16;
    private const int GlanceRarity = 4;

    // More rounds than a guest can have lived, and far fewer than overflow.
    private const long MostRounds = 1L << 48;

    private readonly Headroom _headroom = new();
    private readonly ShareError _shareError = new();
    private readonly CurveError _curveError = new();
    private readonly PingPongMeter _pingPong;
    // What is learned, and what works on it; replaced as a whole when a state is restored.
    private PageHistory _history;
    private MappingSize[] _sizes;
    private BlockSamples _samples;
    private ValueModel _model;
    private RoundCensus _census;
    private MoveMatcher _matcher;
    private SplitPlanner _splits;
    private int _harvests;
    private int _expectedHarvests = PageState.Quarters;
    private int _quarters;
    private double? _accesses;
    private TimeSpan _watched; // by the harvests of the running round
    private TimeSpan _watchedWithGlances; // by those of the last round that had glances
    private int _glances; // of the running round
    private bool _glanceFound; // since the last harvest that was none
    private long _rounds;
    private bool _residencyKnown;
    private long _hitFirst;
    private long _hitFirstSeen; // by the last harvest that was no glance
    private long _budgetPages;
    private long _absentPages;
    private long _movesLeft;
    private long _demotedWithin;
    private double _decisionSpacing = 1;
    private double _moveCost = 1;
    private double _writeWeight = 1;

    /// <summary>A planner for a domain of which nothing is known yet.</summary>
    /// <param name="pages">4 KiB pages of the domain, a multiple of 512, at least 512.</param>
    /// <param name="sampled">Whether there will be calls of <see cref="Sample"/>,
    /// for which it needs half a megabyte more.</param>
    /// <param name="glanced">Whether there will be calls of <see cref="Glance"/>. It needs the same half
    /// megabyte, and a byte for each page of blocks that are busy.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="pages"/> is not such a number.</exception>
    public PlacementPlanner(int pages, bool sampled = false, bool glanced = false)
    {
        if (pages < PageSizes.BlockPages || pages % PageSizes.BlockPages != 0)
            throw new ArgumentOutOfRangeException(
                nameof(pages), pages, $"A domain has a positive multiple of {PageSizes.BlockPages} pages.");
        Pages = pages;
        _history = new PageHistory(pages);
        _sizes = new MappingSize[pages / PageSizes.BlockPages];
        _samples = new BlockSamples(_history, _sizes, sampled, glanced);
        _model = new ValueModel(_samples.Weights);
        _census = new RoundCensus(_history, _sizes, _samples);
        _matcher = new MoveMatcher(_history, _sizes, _samples, _model);
        _pingPong = new PingPongMeter(pages);
        _splits = new SplitPlanner(_history, _sizes, _samples, _model);
    }

    /// <summary>4 KiB pages of the domain.</summary>
    internal int Pages { get; }

    /// <summary>
    /// The heat of each page, 0..255: the logarithm of a moving average over sixteen rounds of the share of harvests that
    /// found it accessed (<see cref="PageState"/>).
    /// Of a 2 MiB mapping only the first page's is kept up, and the others' count their fault samples.
    /// </summary>
    internal ReadOnlySpan<byte> Heat => _history.Heat;

    /// <summary>Rounds that the planner has learned from, those before a <see cref="RestoreState"/> among them.</summary>
    public long Rounds => _rounds;

    /// <summary>What it costs to move a page, in accesses to slow memory that could have been fast; 1 unless measured.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Negative or not a number.</exception>
    public double MoveCost
    {
        get => _moveCost;
        set
        {
            if (value is not (>= 0 and < double.PositiveInfinity))
                throw new ArgumentOutOfRangeException(nameof(value), value, "The cost of a move is 0 or more accesses.");
            _moveCost = value;
        }
    }

    /// <summary>
    /// Share of a round that may pass from one decision to the next: 1 while only <see cref="EndRound"/> decides, less where
    /// <see cref="RestoreHeadroom"/> does after each harvest.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Not above 0 and at most 1.</exception>
    public double DecisionSpacing
    {
        get => _decisionSpacing;
        set
        {
            if (value is not (> 0 and <= 1))
                throw new ArgumentOutOfRangeException(
                    nameof(value), value, "Decisions are more than 0 and at most 1 round apart.");
            _decisionSpacing = value;
        }
    }

    /// <summary>
    /// Pages born since the last round ended, as far as harvests show: those that they found
    /// accessed and that had no memory then.
    /// </summary>
    public long BornPages => _residencyKnown ? _hitFirst : 0;

    /// <summary>Reads of slow memory that a write to it costs as much as; 1 unless known.
    /// Only <see cref="Sample"/> tells where writes go.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Not a number above 0.</exception>
    public double WriteWeight
    {
        get => _writeWeight;
        set
        {
            if (value is not (> 0 and < double.PositiveInfinity))
                throw new ArgumentOutOfRangeException(nameof(value), value, "A write costs as much as more than 0 reads.");
            _writeWeight = value;
        }
    }

    /// <summary>
    /// Takes one harvest. A page that is not in the guest's table counts as not accessed: its next access would have
    /// put it back there. A harvest in which the whole guest accessed nothing (suspended, stopped) teaches nothing and
    /// changes nothing.
    /// </summary>
    /// <param name="accessed">One bit a page: accessed since the last harvest.</param>
    /// <param name="sizes">One <see cref="MappingSize"/> for each 512 pages.</param>
    /// <param name="watched">Time since the harvest before, <see cref="Glance"/> or not; needed in rounds with glances.</param>
    /// <param name="accesses">
    /// Accesses that the harvest stands for, where something counted them; else they are inferred from the bits, which for busy
    /// guests gives too few.
    /// </param>
    /// <exception cref="ArgumentException">A span has the wrong length, or the number of accesses is negative.</exception>
    public void Observe(
        ReadOnlySpan<ulong> accessed, ReadOnlySpan<MappingSize> sizes, double? accesses = null, TimeSpan watched = default)
    {
        if (accesses < 0)
            throw new ArgumentOutOfRangeException(nameof(accesses), accesses, "A number of accesses is 0 or more.");
        int quarter = PageState.QuarterOf(_harvests, _expectedHarvests);
        Mark(accessed, sizes, quarter, watched);
        if (_glanceFound || accessed.ContainsAnyExcept(0UL))
        {
            if (_residencyKnown && _decisionSpacing < 1)
                _headroom.ObserveWithin(_hitFirst - _hitFirstSeen, _harvests == 0 ? _decisionSpacing : SpacingWithin);
            _hitFirstSeen = _hitFirst;
            _glanceFound = false;
            _harvests++;
            _quarters = quarter + 1;
        }
        if (accesses is double counted)
            _accesses = (_accesses ?? 0) + counted;
    }

    /// <summary>
    /// Whether the coming round should have glances: most accesses go to pages that every harvest finds accessed. Then every
    /// round has them until rates are known, and later one of four.
    /// </summary>
    public bool WantsGlances => _samples.Rates is { } rates && _model.IsSaturated
        && (rates.Rounds < RoundsWithGlances || _rounds % GlanceRarity == 0);

    /// <summary>
    /// Takes a harvest that comes sooner than the usual one of its quarter of the round, which will be of the rest of its
    /// time. It tells pages apart that are touched so often that all usual harvests find them accessed.
    /// </summary>
    /// <param name="accessed">One bit a page: accessed since the last harvest.</param>
    /// <param name="sizes">One <see cref="MappingSize"/> for each 512 pages.</param>
    /// <param name="watched">Time since the harvest before.</param>
    /// <exception cref="ArgumentException">A span has the wrong length, or the time is not positive.</exception>
    /// <exception cref="InvalidOperationException">The planner was made for none.</exception>
    public void Glance(ReadOnlySpan<ulong> accessed, ReadOnlySpan<MappingSize> sizes, TimeSpan watched)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(watched, TimeSpan.Zero);
        if (_samples.Rates is null)
            throw new InvalidOperationException("This planner was made for no glances.");
        _glances++;
        _glanceFound |= accessed.ContainsAnyExcept(0UL);
        Mark(accessed, sizes, PageState.QuarterOf(_harvests, _expectedHarvests), watched);
    }

    // Pages were accessed in this quarter of the round.
    private void Mark(ReadOnlySpan<ulong> accessed, ReadOnlySpan<MappingSize> sizes, int quarter, TimeSpan watched)
    {
        RequireLength(accessed.Length, Pages / WordPages, nameof(accessed));
        RequireLength(sizes.Length, _sizes.Length, nameof(sizes));
        for (int block = 0; block < _sizes.Length; block++)
        {
            int first = block * PageSizes.BlockPages;
            if (sizes[block] != MappingSize.None)
                SetSize(block, sizes[block]);
            ReadOnlySpan<ulong> words = accessed.Slice(first / WordPages, PageSizes.BlockPages / WordPages);
            if (!words.ContainsAnyExcept(0UL))
                continue;
            if (_sizes[block] == MappingSize.Size2M)
            {
                if (_history.Hit(first, quarter))
                    _hitFirst += PageSizes.BlockPages;
                continue;
            }
            for (int word = 0; word < words.Length; word++)
                _hitFirst += _history.Hit(first + (word * WordPages), words[word], quarter);
        }
        _watched += watched;
        // Suspended or stopped, as a whole: that tells of no page.
        if (_glances > 0 && watched > TimeSpan.Zero && accessed.ContainsAnyExcept(0UL))
            _samples.Rates!.Observe(accessed, _sizes, watched);
    }

    /// <summary>
    /// Takes one fault sample: of pages drawn evenly from the guest's memory, one that was then accessed. Samples tell what bits
    /// cannot: how much of a 2 MiB mapping is in use, and where writes go.
    /// </summary>
    /// <param name="page">The page accessed.</param>
    /// <param name="write">Whether only a write would have been seen; else any access.</param>
    /// <exception cref="InvalidOperationException">The planner was made for none.</exception>
    public void Sample(int page, bool write)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(page);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(page, Pages);
        if (!_samples.IsSampled)
            throw new InvalidOperationException("This planner was made for no fault samples.");
        if (write)
            _samples.AddWrite(page);
        else
            _samples.Add(page);
    }

    /// <summary>Takes in how many landmines (pages drawn) there were for samples of any access and of writes,
    /// once a round.</summary>
    /// <param name="any">Those that any access would have stepped on.</param>
    /// <param name="write">Those that only a write would have.</param>
    public void CountLandmines(double any, double write) => _samples.CountLandmines(any, write);

    /// <summary>Touches a second of a page, as far as glances tell; null where they do not.</summary>
    public double? TouchRate(int page)
    {
        int block = page / PageSizes.BlockPages;
        return !_samples.HasRates(block) ? null
            : _samples.Rates!.PerSecond(_sizes[block] == MappingSize.Size2M ? block * PageSizes.BlockPages : page);
    }

    /// <summary>Ends a round: decides what to demote and what to promote.</summary>
    /// <param name="residency">One <see cref="Residency"/> a page, read after the last harvest.</param>
    /// <param name="budgetPages">Most fast pages that the domain may have, in pages, 0 or more.</param>
    /// <param name="maxMoves">Most pages to move this round, both ways together;
    /// 0 plans nothing but fills in the figures.</param>
    /// <param name="plan">Filled with the decision.</param>
    /// <exception cref="ArgumentException">A span has the wrong length, or a number is negative.</exception>
    public void EndRound(ReadOnlySpan<byte> residency, long budgetPages, long maxMoves, MovePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        RequireLength(residency.Length, Pages, nameof(residency));
        ArgumentOutOfRangeException.ThrowIfNegative(budgetPages);
        ArgumentOutOfRangeException.ThrowIfNegative(maxMoves);

        plan.Clear();
        Weigh();
        TakeCensus(residency, plan);
        plan.BudgetPages = budgetPages;
        plan.HeadroomPages = _headroom.Pages(budgetPages, plan.AbsentPages, _decisionSpacing);
        (_budgetPages, _absentPages) = (budgetPages, plan.AbsentPages);
        double cost = MoveMatcher.Cost(_moveCost, _pingPong.Share, _headroom.Growth(budgetPages));
        _model.Solve(_census, plan.TargetPages, cost);
        FillFigures(plan);
        long spare = _decisionSpacing < 1 ? _headroom.DemotionsWithin(plan.AbsentPages) : 0;
        _matcher.Fill(plan, _census, residency, maxMoves, spare, cost);
        _movesLeft = maxMoves - plan.DemotedPages - plan.PromotedPages;
        plan.DemotedWithinPages = _demotedWithin;
        _demotedWithin = 0;
        _pingPong.Observe(plan);
        plan.PingPongShare = _pingPong.Share;
        _shareError.Predict(plan.PlannedFastShare);
        _curveError.Predict(_census, _model);
    }

    /// <summary>
    /// Decides within a round, after a harvest, what to demote to have headroom until the next one: the pages that were next
    /// to go when the last plan was made, less those accessed since. It looks at no more pages than it demotes
    /// and passes over, and keeps the round's move limit.
    /// </summary>
    /// <param name="fastPages">Pages in the fast tier now: those that the last decision left there, and
    /// <see cref="BornPages"/>.</param>
    /// <param name="plan">Filled with demotions; nothing before the first round has ended.</param>
    public void RestoreHeadroom(long fastPages, MovePlan plan)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fastPages);
        ArgumentNullException.ThrowIfNull(plan);
        plan.Clear();
        plan.FastPages = fastPages;
        plan.BudgetPages = _budgetPages;
        plan.HeadroomPages = _headroom.Pages(_budgetPages, Math.Max(0, _absentPages - _hitFirst), SpacingWithin);
        _matcher.DemoteNext(plan, _movesLeft);
        _movesLeft -= plan.DemotedPages;
        _demotedWithin += plan.DemotedPages;
        _pingPong.ObserveWithin(plan);
    }

    /// <summary>How the domain's slow accesses would fall with more DRAM, as of the last round that ended.</summary>
    /// <param name="watched">How long the harvests of a round look at the guest, all together.</param>
    /// <returns>Null while nothing was seen to turn out, so that it would be no more than belief.</returns>
    /// <exception cref="ArgumentOutOfRangeException">Zero or negative.</exception>
    public DramCurve? Curve(TimeSpan watched)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(watched, TimeSpan.Zero);
        if (!_model.HasLearned)
            return null;
        List<(long, double)> groups = [];
        for (int state = 0; state < _samples.States; state++)
        {
            long pages = _census.Fast.Pages[state] + _census.Slow.Pages[state];
            if (pages > 0)
                groups.Add((pages, _model.MeanRate(state) / watched.TotalSeconds));
        }
        return new DramCurve(groups, _shareError.Mean, _curveError.Mean);
    }

    /// <summary>Adds up the domain's pages by how hot they are, as of the last round that ended.</summary>
    /// <param name="fast">Gets pages in the fast tier, <see cref="HeatLevels.Count"/> of them.</param>
    /// <param name="slow">Gets pages in slower tiers.</param>
    public void CountHeat(Span<long> fast, Span<long> slow)
    {
        fast.Clear();
        slow.Clear();
        for (int state = 0; state < _samples.States; state++)
        {
            int level = HeatLevels.Of(state % PageState.Own);
            fast[level] += _census.Fast.Pages[state];
            slow[level] += _census.Slow.Pages[state];
        }
    }

    /// <summary>What was learned, as bytes to be kept while the agent does not run.</summary>
    /// <param name="layout">A number that changes when page indexes come to mean other memory.</param>
    public byte[] SaveState(ulong layout) => HeatFileFormat.Pack(layout, writer =>
    {
        writer.Write(Pages);
        writer.Write(_rounds);
        writer.Write(MemoryMarshal.AsBytes<MappingSize>(_sizes));
        _history.Write(writer);
        _samples.Write(writer);
        _model.Write(writer);
    });

    /// <summary>Takes over what an earlier planner had learned, into one that has seen nothing yet.</summary>
    /// <param name="state">What <see cref="SaveState"/> gave.</param>
    /// <param name="layout">The layout now.</param>
    /// <returns>Null, or why the state does not fit; then nothing was taken over.</returns>
    public string? RestoreState(ReadOnlySpan<byte> state, ulong layout)
    {
        if (HeatFileFormat.Refusal(state, layout) is { } refusal)
            return refusal;
        // Into a planner of its own, so that a state that turns out damaged half-way leaves nothing here.
        PlacementPlanner fresh = new(Pages, _samples.IsSampled, _samples.Rates is not null);
        if (HeatFileFormat.Unpack(state, fresh.Read) is { } damage)
            return damage;
        (_history, _sizes, _samples, _model) = (fresh._history, fresh._sizes, fresh._samples, fresh._model);
        (_census, _matcher, _splits) = (fresh._census, fresh._matcher, fresh._splits);
        _rounds = fresh._rounds;
        _residencyKnown = true;
        return null;
    }

    /// <summary>Takes over what the planner of the same domain had learned before its memory was laid out otherwise.</summary>
    /// <param name="earlier">That planner.</param>
    /// <param name="kept">Runs of pages that are there still: their first index then and now, and their number,
    /// all in whole blocks.</param>
    /// <remarks>The harvests of the round that was under way are dropped.</remarks>
    public void TakeOver(PlacementPlanner earlier, IEnumerable<(int From, int To, int Pages)> kept)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        ArgumentNullException.ThrowIfNull(kept);
        _rounds = earlier._rounds;
        _moveCost = earlier._moveCost;
        _residencyKnown = earlier._residencyKnown;
        _expectedHarvests = earlier._expectedHarvests;
        foreach ((int from, int to, int pages) in kept)
        {
            earlier._sizes.AsSpan(from / PageSizes.BlockPages, pages / PageSizes.BlockPages).CopyTo(_sizes.AsSpan(
                to / PageSizes.BlockPages));
            _history.CopyFrom(earlier._history, from, to, pages);
            _samples.CopyFrom(earlier._samples, from / PageSizes.BlockPages, to / PageSizes.BlockPages,
                pages / PageSizes.BlockPages);
            _splits.CopyFrom(earlier._splits, from / PageSizes.BlockPages, to / PageSizes.BlockPages,
                pages / PageSizes.BlockPages);
        }
        using MemoryStream habits = new();
        using BinaryWriter writer = new(habits);
        earlier._model.Write(writer);
        habits.Position = 0;
        using BinaryReader reader = new(habits);
        _model.Read(reader);
    }

    private void Read(BinaryReader reader)
    {
        int pages = reader.ReadInt32();
        if (pages != Pages)
            throw new InvalidDataException($"it is of {pages} pages, the domain has {Pages}");
        _rounds = reader.ReadInt64();
        HeatFileFormat.Require(_rounds is >= 0 and <= MostRounds, "number of rounds");
        Span<byte> sizes = MemoryMarshal.AsBytes(_sizes.AsSpan());
        reader.BaseStream.ReadExactly(sizes);
        HeatFileFormat.Require(!sizes.ContainsAnyExceptInRange((byte)0, (byte)MappingSize.Size1G), "size of a mapping");
        _history.Read(reader);
        _samples.Read(reader);
        _model.Read(reader);
    }

    private static void RequireLength(int actual, int expected, string name)
    {
        if (actual != expected)
            throw new ArgumentException($"{name} has {actual} elements; this domain needs {expected}.", name);
    }

    // Not before it was seen how rounds turn out: until then a block that a few pages carry would be demoted as a whole,
    // and only then be split.
    private void Weigh()
    {
        if (_model.HasLearned)
            _samples.Weigh(_writeWeight, _splits.IsSplitInstead);
    }

    private void SetSize(int block, MappingSize size)
    {
        if (size == _sizes[block])
            return;
        if (size == MappingSize.Size2M)
        {
            _samples.Join(block);
            _splits.TakeJoin(block, asked: false);
        }
        else if (_sizes[block] == MappingSize.Size2M)
            _samples.Split(block);
        _sizes[block] = size;
    }

    // Share of a round from one harvest to the next, but for the first, before which there may be a rest.
    private double SpacingWithin =>
        _expectedHarvests > 1 ? Math.Min(_decisionSpacing, (1 - _decisionSpacing) / (_expectedHarvests - 1)) : _decisionSpacing;

    // Ends the round for each page and learns from how it turned out.
    private void TakeCensus(ReadOnlySpan<byte> residency, MovePlan plan)
    {
        if (_harvests > 0)
            _rounds++;
        if (_glances > 0)
        {
            _samples.Rates!.EndRound();
            _watchedWithGlances = _watched;
        }
        _census.Take(residency, _quarters, _rounds);
        plan.AbsentPages = _census.Absent;
        // What a guest had before anyone looked was not born in the first round.
        plan.BornPages = _residencyKnown ? _census.Born : 0;
        if (_harvests > 0)
        {
            _model.Learn(_census, _accesses, _samples.Rates?.Usual * _watchedWithGlances.TotalSeconds);
            for (int outcome = 1; outcome < PageState.Outcomes; outcome++)
            {
                _shareError.Observe(_model.AccessesOf(outcome) * _census.FastOutcomes[outcome], fast: true);
                _shareError.Observe(_model.AccessesOf(outcome) * _census.SlowOutcomes[outcome], fast: false);
            }
            _shareError.EndRound();
            _curveError.EndRound(_census, _model);
            _expectedHarvests = _harvests;
            if (_residencyKnown && _decisionSpacing < 1)
                _headroom.CorrectWithin(_census.Born - _hitFirst);
            _headroom.Observe(plan.BornPages);
        }
        _residencyKnown = true;
        _harvests = _quarters = _glances = 0;
        _watched = TimeSpan.Zero;
        _hitFirst = _hitFirstSeen = 0;
        _accesses = null;
    }

    private void FillFigures(MovePlan plan)
    {
        long fastPages = 0, slowPages = 0, hot = 0, hotFast = 0;
        double fastRate = 0, slowRate = 0;
        for (int state = 0; state < _samples.States; state++)
        {
            long fast = _census.Fast.Pages[state];
            long slow = _census.Slow.Pages[state];
            if ((fast | slow) == 0)
                continue;
            fastPages += fast;
            slowPages += slow;
            fastRate += fast * _model.MeanRate(state);
            slowRate += slow * _model.MeanRate(state);
            if (_model.ChanceOfAccess(state) < 0.5)
                continue;
            hot += fast + slow;
            hotFast += fast;
        }
        plan.FastPages = fastPages;
        plan.SlowPages = slowPages;
        plan.HotPages = hot;
        plan.HotFastPages = hotFast;
        plan.MarginalValue = _model.MarginalValue;
        plan.FastRate = fastRate;
        plan.Accesses = fastRate + slowRate;
    }
}
