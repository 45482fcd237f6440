// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Pictures;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent;

/// <summary>
/// One attached guest: its layout, heat and moves. Joins the kernel's side with the planner; <see cref="DomainLoop"/> says
/// when to do what. One thread at a time uses it.
/// </summary>
internal sealed class AttachedGuest
{
    private static readonly MoveOutcome[] s_unmoved =
    [
        MoveOutcome.Busy, MoveOutcome.Pinned, MoveOutcome.Contested, MoveOutcome.Shared, MoveOutcome.Absent,
        MoveOutcome.TargetFull, MoveOutcome.ForbiddenByCpuset, MoveOutcome.Refused,
    ];

    private readonly ProcessIdentity _process;
    private readonly IGuestSampler _sampler;
    private readonly DomainLoopContext _context;
    private readonly Action _progress;
    private readonly GuestNodes _nodes;
    private readonly GuestHarvester _harvester;
    private readonly FaultSampling _faults;
    private readonly MoveTarget _memory;
    private readonly MoveCostWatch _moveCost;
    private readonly BoundMemoryWatch _bound;
    private readonly GuestHomes? _homes; // null where each tier is one place
    private readonly MovePlan _plan = new();
    private readonly GuestRecord _record;
    private readonly GuestSplits? _splits;
    private PlacementPlanner _planner;
    private RoundHabit _habit;
    private bool _ranUnseenGuests; // in any harvest since the last round
    private TimeSpan _watched; // by the harvests since the last round
    private TimeSpan _harvestTime;
    private long _intervalBegan; // by the clock's timestamps
    private (long Fast, long Slow) _boundPages;
    private (long? Elsewhere, long Resident) _memoryThen; // as of when it was last looked where the pages are
    private long _nextDemotion; // before the guest runs, by the clock's timestamps
    private string? _moveProblem; // of the last round
    private HomeOrders? _homeOrders; // of this round

    public AttachedGuest(ProcessIdentity process, IGuestSampler sampler, DomainLoopContext context, Action progress)
    {
        _process = process;
        _sampler = sampler;
        _context = context;
        _progress = progress;
        _nodes = new GuestNodes(context.Host, context.Mover, process.Pid);
        _harvester = new GuestHarvester(sampler, context.Time, progress, report: HostReclaim.RanksGuests());
        _memory = context.Mover.Target(process.Pid, _harvester.Layout);
        _memory.Progress = progress;
        _moveCost = new MoveCostWatch(process.Pid, _memory.Counters, context.Time);
        _bound = new BoundMemoryWatch(context.Mover, process.Pid, context.Host, context.Time);
        if (context.Host.HasManyPlaces)
            _homes = new GuestHomes(
                context.Host, context.Mover, _nodes,
                new VcpuResidence(process.Pid, context.Host.Nodes, context.Time, context.Procfs));
        if (context.HugePages is { } calls)
            _splits = new GuestSplits(process.Pid, calls, progress);
        _faults = new FaultSampling(sampler, context.Sampling.FaultRate, _nodes.WriteWeight);
        _planner = NewPlanner();
        _habit = new RoundHabit(_memory.Layout.PageCount);
        _record = context.Records.Open(process, _memory.Layout);
        Tell(sampler.GetInfo().Features);
    }

    private void Tell(SamplerFeatures features)
    {
        RunsUnseenGuests = _ranUnseenGuests || features.HasUnseenGuests();
        IsConfidential = features.HasFlag(SamplerFeatures.Confidential);
    }

    /// <summary>What a person must mend before all pages can be moved; null if nothing.</summary>
    public string? Problem => Obstacle ?? _moveProblem ?? _bound.Note;

    /// <summary>What rounds found and did, and where the pages are: those of before a round's moves while these are under
    /// way.</summary>
    public DomainFigures Figures { get; private set; } = DomainFigures.None;

    /// <summary>Whether the guest runs guests of its own whose accesses were not seen, as of the last round: nothing of it is
    /// moved.</summary>
    public bool RunsUnseenGuests { get; private set; }

    /// <summary>Whether the guest's memory is kept from its host, which cannot move its pages.</summary>
    public bool IsConfidential { get; private set; }

    /// <inheritdoc cref="GuestHarvester.IsDirtyLogging"/>
    public bool IsDirtyLogging() => _harvester.IsDirtyLogging();

    /// <summary>How the guest's slow accesses would fall with more DRAM, as of the last round;
    /// null while nothing is known.</summary>
    public DramCurve? Curve { get; private set; }

    /// <summary>Rounds that the heat was learned from, those before a restart among them.</summary>
    public long HeatRounds => _planner.Rounds;

    /// <summary>Time since the interval began that the next <see cref="Harvest"/> is to be of.</summary>
    public TimeSpan SinceHarvest => _context.Time.GetElapsedTime(_intervalBegan);

    /// <inheritdoc cref="PlacementPlanner.WantsGlances"/>
    public bool WantsGlances => _planner.WantsGlances;

    /// <summary>What was learned of the guest's pages, for another <see cref="AttachedGuest"/> of the same process.</summary>
    public byte[] SaveHeat() => _planner.SaveState(MemoryIdentity.Of(_process, _memory.Layout));

    /// <summary>Pages of the guest's layout.</summary>
    public int PageCount => _memory.Layout.PageCount;

    /// <summary>Takes over what <see cref="SaveHeat"/> gave, before the first harvest.</summary>
    /// <returns>Null, or why it cannot be used.</returns>
    public string? RestoreHeat(ReadOnlySpan<byte> state) =>
        _planner.RestoreState(state, MemoryIdentity.Of(_process, _memory.Layout));

    /// <summary>What was learned of the guest's pages in a few KiB, for a guest in another process or on another host; null if
    /// there is nothing to tell.</summary>
    public byte[]? SummarizeHeat() => _planner.Summarize(
        [.. _memory.Layout.GfnRanges.Select(range => new HeatRange(range.FirstGfn, range.PageCount))]);

    /// <summary>Takes over what <see cref="SummarizeHeat"/> gave elsewhere, before the first harvest.</summary>
    /// <returns>Null, or why it cannot be used; then nothing was taken over.</returns>
    public string? SeedHeat(ReadOnlySpan<byte> summary)
    {
        GuestLayout layout = _memory.Layout;
        long known = 0;
        string? refusal = HeatSummary.Unpack(
            summary, layout.PageCount, run => ForEachPart(layout, run, (_, count) => known += count));
        if (refusal is not null)
            return refusal;
        if (known < layout.PageCount / 2)
            return $"only {known} of the guest's {layout.PageCount} pages have frames that it tells of";
        return HeatSummary.Unpack(
            summary, layout.PageCount, run => ForEachPart(layout, run, (first, count) => _planner.Seed(first, count, run.Level)));
    }

    private static void ForEachPart(GuestLayout layout, HeatRun run, Action<int, int> take)
    {
        foreach (GfnRange range in layout.GfnRanges)
        {
            ulong first = Math.Max(range.FirstGfn, run.FirstGfn), end = Math.Min(range.EndGfn, run.FirstGfn + (ulong)run.Pages);
            if (first < end)
                take(range.FirstIndex + (int)(first - range.FirstGfn), (int)(end - first));
        }
    }

    /// <summary>A step towards the budget for a guest that arrives and does not run yet: what is cold by the heat that came along
    /// is demoted, as much as its rate allows in a round.</summary>
    /// <param name="orders">What to do.</param>
    /// <param name="stop">Ends the moves.</param>
    public async Task DemoteBeforeItRunsAsync(DomainOrders orders, CancellationToken stop)
    {
        long start = _context.Time.GetTimestamp();
        if (start < _nextDemotion)
            return;
        if (_nodes.Check(orders.Domain))
            _bound.Forget();
        if (!MayMove(orders))
            return;
        RoundScratch scratch = _context.Scratch.Rent();
        try
        {
            Span<byte> tiers = ReadNodes(scratch);
            _context.Host.ToTiers(tiers);
            _ = _bound.Find(_memory.Layout).TakeOut(tiers);
            _planner.DemoteBeforeItRuns(
                tiers, orders.BudgetPages, _moveCost.MostMoves(orders.Limits, _context.Sampling), _plan);
        }
        finally
        {
            _context.Scratch.Return(scratch);
        }
        // Looking costs as harvesting does, and is not done more often.
        TimeSpan wait = _context.Time.GetElapsedTime(start) / _context.Sampling.CpuShare;
        wait = wait > _context.Sampling.Round ? wait : _context.Sampling.Round;
        _nextDemotion = start + (long)(wait.TotalSeconds * _context.Time.TimestampFrequency);
        if (_plan.Demotions.IsEmpty)
            return;
        LimitMoves(orders.Limits);
        MoveReport report = await _context.Mover.MoveAsync(
            _memory, _plan.Demotions, _homes?.UsualWayDown ?? _nodes.SlowAllowed, stop);
        CountMoves(demoted: report.Moved, promoted: 0);
    }

    /// <summary>Clears the accessed bits, which are of longer than an interval, so that the next harvest is of one.</summary>
    /// <returns>False if the layout had changed, so that not all were cleared.</returns>
    public bool BeginWatching()
    {
        bool isWhole = TakeBits();
        _intervalBegan = _harvester.LastHarvest;
        return isWhole;
    }

    /// <summary>Takes the accessed bits of the first part of an interval, for rates of what is touched very often. The next
    /// <see cref="Harvest"/> is of the rest.</summary>
    /// <returns>False if the layout had changed, so that nothing was taken.</returns>
    public bool Glance()
    {
        if (TakeWatched() is not TimeSpan watched)
            return false;
        _habit.ObservePart(_harvester.Buffers.Accessed);
        _planner.Glance(_harvester.Buffers.Accessed, _harvester.Buffers.Sizes.Span, watched);
        return true;
    }

    /// <summary>Takes the accessed bits of the whole guest into the heat.</summary>
    /// <param name="mayPass">Whether it need not be, being the first of a round that can be passed over.</param>
    /// <param name="orders">What to do.</param>
    /// <param name="passed">True if the guest is as the last round found it, as far as this harvest and cheap questions tell:
    /// then the bits went into no more than the pictures, and the round has not begun.</param>
    /// <returns>False if the layout had changed, so that nothing was taken.</returns>
    public bool Harvest(bool mayPass, DomainOrders orders, out bool passed)
    {
        passed = false;
        if (TakeWatched() is not TimeSpan watched)
            return false;
        _intervalBegan = _harvester.LastHarvest;
        passed = mayPass && IsAsBefore(orders);
        if (passed)
        {
            _watched -= watched;
        }
        else
        {
            _habit.Observe(_harvester.Buffers.Accessed);
            _planner.Observe(_harvester.Buffers.Accessed, _harvester.Buffers.Sizes.Span, watched: watched);
        }
        _record.Harvested(_harvester.Buffers);
        _homes?.SeeVcpus();
        _faults.Take(_memory.Layout, _planner);
        return true;
    }

    /// <summary>Says how far whole rounds are apart now.</summary>
    /// <param name="pacer">Has been told that one was passed over.</param>
    public void Pass(RoundPacer pacer) => Figures = Figures with { RoundSeconds = pacer.WholeInterval.TotalSeconds };

    // Where a tier has several nodes, it also matters on which of them the guest runs; what is split or joined is decided by
    // samples over many rounds; and where a write weighs otherwise than a read, rounds take turns in which of them is sampled.
    private bool IsAsBefore(DomainOrders orders)
    {
        if (_homes is not null || _nodes.WriteWeight != 1 || orders.Limits.SplitShare > 0 || _planner.SplitBlocks > 0
            || _moveProblem is not null
            || _memoryThen.Elsewhere is not { } then || _context.Elsewhere?.Count() is not { } now
            || _harvester.RunsUnseenGuests != RunsUnseenGuests)
            return false;
        if (_nodes.Check(orders.Domain))
        {
            _bound.Forget(); // as when a round decides
            return false;
        }
        return IsFew(now - then) && IsFew(ReadResident() - _memoryThen.Resident)
            && IsFew(_habit.CountChanged(_harvester.Buffers.Accessed));

        bool IsFew(long pages) => RoundPacer.IsRest(Math.Abs(pages), _plan.FastPages);
    }

    private long ReadResident() => ProcessFacts.ReadResidentPages(_process.Pid, _context.Procfs);

    /// <summary>Takes no more fault samples until the next round ends: of a guest that stands still there are none, and one that
    /// migrates is to be left alone.</summary>
    public void StopSampling() => _faults.Stop(_memory.Layout, _planner);

    // The time that the bits are of; null if the layout had changed.
    private TimeSpan? TakeWatched()
    {
        long before = _harvester.LastHarvest;
        if (!TakeBits())
            return null;
        TimeSpan watched = _context.Time.GetElapsedTime(before, _harvester.LastHarvest);
        _watched += watched;
        return watched;
    }

    private bool TakeBits()
    {
        bool isWhole = _harvester.Harvest();
        _ranUnseenGuests |= _harvester.RunsUnseenGuests;
        if (!isWhole)
            Relayout();
        return isWhole;
    }

    /// <summary>Looks where each page is, for people to see and harvests to know before the next round.</summary>
    public void Look()
    {
        _progress();
        RoundScratch scratch = _context.Scratch.Rent();
        try
        {
            Span<byte> tiers = ReadNodes(scratch);
            _context.Host.ToTiers(tiers);
            Figures = Figures with
            {
                HeatRounds = _planner.Rounds,
                FastBytes = tiers.Count(Residency.Fast) * (long)PageSizes.PageBytes,
                SlowBytes = tiers.Count(Residency.Slow) * (long)PageSizes.PageBytes,
                MoveCost = _planner.MoveCost,
            };
        }
        finally
        {
            _context.Scratch.Return(scratch);
        }
    }

    /// <summary>Begins a round: looks where each page is and decides.</summary>
    /// <param name="orders">What to do.</param>
    /// <param name="pacer">Told of the round.</param>
    public void Decide(DomainOrders orders, RoundPacer pacer)
    {
        // Before anything is tried, and also where nothing may be moved, so that it can be mended before that changes.
        if (_nodes.Check(orders.Domain))
            _bound.Forget(); // who changes the one may have changed the other
        SamplerInfo info = _sampler.GetInfo();
        Tell(info.Features);
        _ranUnseenGuests = false;
        _faults.CountLandmines((long)info.Armed, _planner);
        _progress();
        RoundScratch scratch = _context.Scratch.Rent();
        TimeSpan begun = _context.CpuTime();
        try
        {
            Plan(orders, pacer, scratch);
        }
        finally
        {
            _context.Scratch.Return(scratch);
        }
        // To look where its pages are takes some 50 ns for each of 4 KiB: as long as a harvest or longer.
        pacer.EndRound(_plan, HarvestTime(info) + (_context.CpuTime() - begun));
        _faults.Choose(
            _harvester.Buffers.Sizes.Span, splits: _splits is not null && orders.Limits.SplitShare > 0, _memory.Layout, _planner);
        Figures = Figures with
        {
            HeatRounds = _planner.Rounds,
            RoundSeconds = pacer.Interval.TotalSeconds,
            FastBytes = (_boundPages.Fast + _plan.FastPages) * PageSizes.PageBytes,
            SlowBytes = (_boundPages.Slow + _plan.SlowPages) * PageSizes.PageBytes,
            HotBytes = _plan.HotPages * PageSizes.PageBytes,
            HotFastBytes = _plan.HotFastPages * PageSizes.PageBytes,
            PingPongShare = _plan.PingPongShare,
            MoveCost = _planner.MoveCost,
            FaultSamples = _faults.Count,
            ByNode = _record.Nodes(),
            SlowAccessShare = 1 - _plan.FastShare,
            SlowAccessError = Curve is { Error: < 1 } curve ? curve.Error : null,
            IsForbidden = Obstacle is not null,
            HarvestSeconds = info.HarvestTime.TotalSeconds,
            Splits = _splits?.Splits ?? 0,
            Joins = _splits?.Joins ?? 0,
            SplitBlocks = _planner.SplitBlocks,
            CameBackWhole = _planner.CameBack,
            Home = _homes?.Shares ?? [],
            HotAwayBytes = (_homes?.HotAwayPages ?? 0) * PageSizes.PageBytes,
            Unsplit = _splits?.Unsplit ?? DomainFigures.None.Unsplit,
        };
    }

    /// <summary>Ends the round: demotes what was decided, then promotes into the room that is there.</summary>
    /// <param name="orders">What to do, as decided upon.</param>
    /// <param name="stop">Ends the moves.</param>
    public async Task MoveAsync(DomainOrders orders, CancellationToken stop)
    {
        _moveProblem = MayMove(orders) || MayRehome(orders) ? await ExchangeAsync(orders.Limits, stop) : null;
        Figures = Figures with { Rounds = Figures.Rounds + 1 };
    }

    /// <summary>Between two rounds: makes room again for the pages that the guest is yet to touch for the first time.</summary>
    /// <param name="orders">What to do.</param>
    /// <param name="stop">Ends the moves.</param>
    /// <returns>True if pages were moved.</returns>
    public async Task<bool> RestoreHeadroomAsync(DomainOrders orders, CancellationToken stop)
    {
        if (!MayMove(orders) || _moveProblem is not null || _planner.BornPages == 0)
            return false;
        long planned = (Figures.FastBytes / PageSizes.PageBytes) - _boundPages.Fast;
        _planner.RestoreHeadroom(planned + _planner.BornPages, _plan);
        if (_plan.Demotions.IsEmpty)
            return false;
        MoveReport report = await _context.Mover.MoveAsync(
            _memory, _plan.Demotions, _homes?.UsualWayDown ?? _nodes.SlowAllowed, stop);
        CountMoves(demoted: report.Moved, promoted: 0);
        return true;
    }

    private string? Obstacle => _nodes.Forbidden;

    private bool MayTouch(DomainOrders orders) =>
        orders.Mode == TieringMode.Enforce && Obstacle is null && !RunsUnseenGuests && !IsConfidential;

    private bool MayMove(DomainOrders orders) => MayTouch(orders) && _nodes.SlowAllowed.Count > 0;

    private bool MayRehome(DomainOrders orders) => MayTouch(orders) && _context.Host.Rehomes;

    private Span<byte> ReadNodes(RoundScratch scratch)
    {
        Span<byte> nodes = scratch.Pages(_memory.Layout.PageCount);
        scratch.Reader.Read(_process.Pid, _memory.Layout, 0, nodes, _harvester.Buffers.HugePages);
        return nodes;
    }

    private void Plan(DomainOrders orders, RoundPacer pacer, RoundScratch scratch)
    {
        _habit.End();
        // Before it is looked where the pages are: what happens meanwhile is seen twice rather than never.
        if (_context.Elsewhere is { } elsewhere)
            _memoryThen = (elsewhere.Count(), ReadResident());
        // After a rest there are the harvests of a round, an interval apart, with a decision after each.
        SamplingPace sampling = _context.Sampling;
        _planner.DecisionSpacing = 1 - ((sampling.HarvestsPerRound - 1) * (sampling.Interval / pacer.Interval));
        Span<byte> tiers = ReadNodes(scratch);
        // Pages that somebody else moved back are not to be fought over.
        _memory.Observe(0, tiers);
        _record.Looked(tiers);
        BoundMemory bound = _bound.Find(_memory.Layout);
        Span<byte> nodes = default;
        if (_homes is not null)
        {
            nodes = scratch.Nodes(tiers.Length);
            tiers.CopyTo(nodes);
            _homes.Look(orders, _memory.Layout, bound, nodes);
        }
        _context.Host.ToTiers(tiers);
        _boundPages = bound.TakeOut(tiers);
        long affordable = MayMove(orders) || MayRehome(orders) ? _moveCost.MostMoves(orders.Limits, sampling) : 0;
        long mostMoves = MayMove(orders) ? affordable : 0;
        _planner.MoveCost = _moveCost.Cost;
        if (MayMove(orders))
            _splits?.Run(_planner, _memory.Layout, orders.Limits.SplitShare, tiers, _harvester.Buffers.HugePages);
        _planner.EndRound(tiers, Math.Max(0, orders.BudgetPages - _boundPages.Fast), mostMoves, _plan);
        _homeOrders = _homes?.Plan(_plan, _planner, nodes, tiers, affordable);
        if (_watched > TimeSpan.Zero)
            Curve = _planner.Curve(_watched);
        _record.EndRound(_planner, Curve, pacer.WholeInterval);
        // For the next round: this one's plan says how many accesses there are.
        _moveCost.EndRound(_watched, _plan.Accesses, _harvester.Buffers.Sizes.Span);
        _watched = TimeSpan.Zero;
    }

    /// <summary>CPU time that harvests took since this was last asked.</summary>
    private TimeSpan HarvestTime(SamplerInfo info)
    {
        TimeSpan before = _harvestTime;
        _harvestTime = info.HarvestTime;
        return _harvestTime - before;
    }

    /// <returns>What a person must mend before all pages can be moved; null if nothing.</returns>
    private async Task<string?> ExchangeAsync(MoveLimits limits, CancellationToken stop)
    {
        LimitMoves(limits);
        HomeOrders moves = _homeOrders ?? new HomeOrders(
            new MoveOrder(_plan.Demotions, _nodes.SlowAllowed), new MoveOrder(_plan.Promotions, _nodes.FastAllowed));
        // Room in the tier below comes first, for what is demoted there.
        MoveReport? sunk = await MoveAsync(moves.Sink, stop);
        ExchangeReport report = await _context.Exchange.RunAsync(
            _memory, moves.Demote, moves.Promote, room: _plan.TargetPages - _plan.FastPages, stop);
        MoveReport? rehomed = await MoveAsync(moves.Rehome, stop);
        MoveReport? raised = await MoveAsync(moves.Raise, stop);
        CountMoves(report.Demoted.Moved, report.Promoted.Moved);
        Figures = Figures with
        {
            RehomedPages = Figures.RehomedPages + (rehomed?.Moved ?? 0),
            SunkPages = Figures.SunkPages + (sunk?.Moved ?? 0),
            RaisedPages = Figures.RaisedPages + (raised?.Moved ?? 0),
        };
        // A home without room is nothing that a person must mend: its pages are in the fast tier.
        return report.Demoted.Problem ?? report.Promoted.Problem;
    }

    private void LimitMoves(MoveLimits limits)
    {
        _memory.Rate.PerSecond = limits.BytesPerSecond;
        _memory.Work.PerSecond = (long)(limits.CpuShare * TimeSpan.NanosecondsPerTick * TimeSpan.TicksPerSecond);
    }

    private async Task<MoveReport?> MoveAsync(MoveOrder? order, CancellationToken stop) =>
        order is { Runs.IsEmpty: false } ? await _context.Exchange.MoveAsync(_memory, order, stop) : null;

    private void CountMoves(long demoted, long promoted)
    {
        _moveCost.ObserveMoves();
        _record.Moved(promoted, demoted);
        MoveCounters counters = _memory.Counters;
        long risen = (promoted - demoted) * PageSizes.PageBytes;
        Figures = Figures with
        {
            FastBytes = Figures.FastBytes + risen,
            SlowBytes = Figures.SlowBytes - risen,
            PromotedPages = Figures.PromotedPages + promoted,
            DemotedPages = Figures.DemotedPages + demoted,
            MoveSeconds = counters.CpuTime.TotalSeconds,
            Unmoved = s_unmoved.Where(o => counters[o] > 0).ToDictionary(o => o.ToString(), o => counters[o]),
        };
    }

    private void Relayout()
    {
        (GuestLayout before, PlacementPlanner planner) = (_memory.Layout, _planner);
        _memory.Relayout(_harvester.Layout);
        _bound.Forget();
        _record.Relaid(_memory.Layout);
        _planner = NewPlanner();
        _habit = new RoundHabit(_memory.Layout.PageCount);
        _planner.TakeOver(planner, _memory.Layout.KeptFrom(before));
        Look(); // harvests have to know what moves as one
    }

    private PlacementPlanner NewPlanner() =>
        new(_memory.Layout.PageCount, _faults.IsPossible, glanced: true) { WriteWeight = _nodes.WriteWeight };
}
