// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Memory;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent;

/// <summary>
/// One attached guest: its layout, heat and moves. Joins the kernel's side with the planner; <see cref="DomainTierer"/> says
/// when to do what. One thread at a time uses it.
/// </summary>
internal sealed class TieredGuest
{
    private const AccessKinds AnyAccess = AccessKinds.Read | AccessKinds.Write | AccessKinds.Execute;

    // Memory is bound as it is allocated, and seldom later. To look takes time for each page of the process: at most a hundredth.
    private static readonly TimeSpan s_boundKeptFor = TimeSpan.FromMinutes(10);
    private const int BoundRarity = 100;

    private static readonly MoveOutcome[] s_unmoved =
    [
        MoveOutcome.Busy, MoveOutcome.Pinned, MoveOutcome.Contested, MoveOutcome.Shared, MoveOutcome.Absent,
        MoveOutcome.TargetFull, MoveOutcome.ForbiddenByCpuset, MoveOutcome.Refused,
    ];

    private readonly ProcessIdentity _process;
    private readonly IGuestSampler _sampler;
    private readonly DomainTiererContext _context;
    private readonly Action _progress;
    private readonly int _fastNode;
    private readonly IReadOnlyList<int> _slowNodes;
    private readonly double _writeWeight;
    private readonly bool _canSample;
    private readonly AccessSample[] _samples = new AccessSample[256];
    private readonly MovePlan _plan = new();
    private readonly MoveCostMeter _price = new();
    private MoveTarget _memory;
    private HarvestBuffers _buffers;
    private PlacementPlanner _planner;
    private ulong _generation;
    private bool _isDirtyLogged = true; // until it is known
    private bool _ranGuests; // in any harvest since the last round
    private DomainFigures _figures = DomainFigures.None;
    private long _harvested;
    private TimeSpan _watched;
    private TimeSpan _harvestTime;
    private CpuReading _guestTime;
    private MovesDone _moved;
    private BoundMemory? _bound; // null until it is known of this layout
    private string? _forbidden;
    private long _boundRead;
    private TimeSpan _boundKeptFor;
    private (long Fast, long Slow) _boundPages;
    private long _leftFast;
    private long _demotedWithin;
    private IReadOnlyList<int> _slowAllowed = []; // of the last round
    private AccessKinds _sampledKinds;
    private long _landmines;
    private long _faultSamples;
    private readonly GuestSplits? _splits;

    public TieredGuest(ProcessIdentity process, IGuestSampler sampler, DomainTiererContext context, Action progress)
    {
        _process = process;
        _sampler = sampler;
        _context = context;
        _progress = progress;
        (_fastNode, _slowNodes) = context.Host.NodesFor(process.Pid);
        _writeWeight = _slowNodes is [int slow, ..] ? context.Host.WriteWeight(_fastNode, slow) : 1;
        SamplerFeatures features = sampler.GetInfo().Features;
        RunsGuests = features.HasFlag(SamplerFeatures.NestedGuests);
        _canSample = context.Sampling.FaultRate > 0 && features.HasFlag(SamplerFeatures.FaultSampling);
        if (context is { HugePages: { } calls, Sampling.SplitShare: > 0 })
            _splits = new GuestSplits(process.Pid, calls, context.Sampling.SplitShare, progress);
        GuestLayout layout = ReadLayout();
        _memory = context.Mover.Target(process.Pid, layout);
        _memory.Progress = progress;
        (_buffers, _planner) = StartOver(layout);
    }

    /// <summary>What a person must mend before all pages can be moved; null if nothing.</summary>
    public string? Problem { get; private set; }

    /// <summary>Whether the guest runs guests of its own, as of the last round. What they touch is not seen:
    /// nothing of it is moved.</summary>
    public bool RunsGuests { get; private set; }

    /// <summary>Whether the guest's writes are being logged, as in a live migration: each sample would cost it dearly.</summary>
    public bool IsDirtyLogging()
    {
        // Harvests say when it begins; only its end has to be asked for.
        if (_isDirtyLogged)
            _isDirtyLogged = _sampler.GetInfo().Features.HasFlag(SamplerFeatures.DirtyLogging);
        return _isDirtyLogged;
    }

    /// <summary>How the guest's slow accesses would fall with more DRAM, as of the last round;
    /// null while nothing is known.</summary>
    public DramCurve? Curve { get; private set; }

    /// <summary>Rounds that the heat was learned from, those before a restart among them.</summary>
    public long HeatRounds => _planner.Rounds;

    /// <summary>Time since the accessed bits were last cleared.</summary>
    public TimeSpan SinceHarvest => _context.Time.GetElapsedTime(_harvested);

    /// <summary>What was learned of the guest's pages, for another <see cref="TieredGuest"/> of the same process.</summary>
    public byte[] SaveHeat() => _planner.SaveState(MemoryId());

    /// <summary>Pages of the guest's layout.</summary>
    public int PageCount => _memory.Layout.PageCount;

    /// <summary>Takes over what <see cref="SaveHeat"/> gave, before the first harvest.</summary>
    /// <returns>Null, or why it cannot be used.</returns>
    public string? RestoreHeat(ReadOnlySpan<byte> state) => _planner.RestoreState(state, MemoryId());

    /// <summary>Clears the accessed bits, which are of longer than an interval, so that the next harvest is of one.</summary>
    /// <returns>True if the layout had changed, so that not all were cleared.</returns>
    public bool BeginWatching() => TakeBits();

    /// <summary>Takes the accessed bits of the whole guest into the heat.</summary>
    /// <returns>True if the layout had changed, so that nothing was taken.</returns>
    public bool Harvest()
    {
        long before = _harvested;
        if (TakeBits())
            return true;
        _watched += _context.Time.GetElapsedTime(before, _harvested);
        _planner.Observe(_buffers.Accessed, _buffers.Sizes.Span);
        TakeSamples();
        return false;
    }

    /// <summary>Takes no more fault samples until the next round ends: of a guest that stands still there are none, and one that
    /// migrates is to be left alone.</summary>
    public void StopSampling() => Sample(AccessKinds.None);

    /// <summary>
    /// What to sample until the next round ends. Bits tell as much of pages that are mapped by themselves, and where a write is a
    /// read's like. Elsewhere rounds of any access and of writes alone take turns.
    /// </summary>
    private AccessKinds KindsWorthSampling()
    {
        if (!_canSample || (_writeWeight == 1 && !_buffers.Sizes.Span.Contains(MappingSize.Size2M)))
            return AccessKinds.None;
        return _writeWeight != 1 && _sampledKinds == AnyAccess ? AccessKinds.Write : AnyAccess;
    }

    private void Sample(AccessKinds kinds)
    {
        if (kinds == _sampledKinds)
            return;
        TakeSamples(); // what there is, is of the old kinds
        _sampler.SampleFaults(kinds, kinds == AccessKinds.None ? 0 : _context.Sampling.FaultRate);
        _sampledKinds = kinds;
    }

    private void CountLandmines(long armed)
    {
        long laid = armed - _landmines;
        _landmines = armed;
        if (_sampledKinds != AccessKinds.None)
            _planner.CountLandmines(any: _sampledKinds == AnyAccess ? laid : 0, write: _sampledKinds == AnyAccess ? 0 : laid);
    }

    private void TakeSamples()
    {
        int count = _sampledKinds == AccessKinds.None ? 0 : _samples.Length;
        while (count == _samples.Length)
        {
            count = _sampler.ReadSamples(_samples);
            foreach (AccessSample sample in _samples.AsSpan(0, count))
            {
                int page = _memory.Layout.IndexOf(sample.Gfn);
                if (page < 0)
                    continue;
                _planner.Sample(page, write: _sampledKinds != AnyAccess);
                _faultSamples++;
            }
        }
    }

    private bool TakeBits()
    {
        _harvested = _context.Time.GetTimestamp();
        foreach (GfnRange range in _memory.Layout.GfnRanges)
        {
            _progress();
            HarvestResult result = _sampler.Harvest(range, _buffers, HarvestOptions.Clear | HarvestOptions.Flush);
            _isDirtyLogged = result.IsDirtyLogged;
            _ranGuests |= result.RunsGuests;
            if (result.Generation != _generation && Relayout())
                return true;
        }
        return false;
    }

    /// <summary>Looks where each page is, decides, demotes, then promotes into the room that is there.</summary>
    /// <param name="orders">What to do.</param>
    /// <param name="pacer">Told of the round.</param>
    /// <param name="stop">Ends the moves.</param>
    public async Task<DomainFigures> RoundAsync(DomainOrders orders, RoundPacer pacer, CancellationToken stop)
    {
        RoundScratch scratch = _context.Scratch.Rent();
        try
        {
            // Before anything is tried, and also where nothing may be moved, so that it can be mended before that changes.
            string? forbidden = FindForbidden(orders.Domain, out IReadOnlyList<int> slowNodes);
            if (forbidden != _forbidden)
                _bound = null; // who changes the one may have changed the other
            _forbidden = forbidden;
            Problem = _context.Host.Problem ?? forbidden;
            _slowAllowed = slowNodes;
            SamplerInfo info = _sampler.GetInfo();
            RunsGuests = _ranGuests || info.Features.HasFlag(SamplerFeatures.NestedGuests);
            _ranGuests = false;
            bool moves = orders.Mode == TieringMode.Enforce && Problem is null && !RunsGuests;
            CountLandmines((long)info.Armed);
            _progress();
            Plan(orders, moves, pacer.Interval, scratch);
            pacer.EndRound(_plan, HarvestTime(info));
            Sample(KindsWorthSampling());
            long demoted = 0;
            long promoted = 0;
            if (slowNodes.Count > 0 && moves)
            {
                _memory.Rate.PerSecond = orders.Limits.BytesPerSecond;
                _memory.Work.PerSecond = (long)(orders.Limits.CpuShare * TimeSpan.NanosecondsPerTick * TimeSpan.TicksPerSecond);
                (demoted, promoted) = await ExchangeAsync(slowNodes, stop);
                ObserveMoves();
            }
            _leftFast = _plan.FastPages - demoted + promoted;
            demoted += _demotedWithin;
            _demotedWithin = 0;
            Problem ??= _bound?.Note;
            return _figures = new DomainFigures
            {
                Rounds = _figures.Rounds + 1,
                HeatRounds = _planner.Rounds,
                RoundSeconds = pacer.Interval.TotalSeconds,
                FastBytes = (_boundPages.Fast + _leftFast) * PageSizes.PageBytes,
                SlowBytes = (_boundPages.Slow + _plan.FastPages + _plan.SlowPages - _leftFast) * PageSizes.PageBytes,
                HotBytes = _plan.HotPages * PageSizes.PageBytes,
                HotFastBytes = _plan.HotFastPages * PageSizes.PageBytes,
                PromotedPages = _figures.PromotedPages + promoted,
                DemotedPages = _figures.DemotedPages + demoted,
                PingPongShare = _plan.PingPongShare,
                MoveCost = _planner.MoveCost,
                FaultSamples = _faultSamples,
                Splits = _splits?.Splits ?? 0,
                Joins = _splits?.Joins ?? 0,
                SplitBlocks = _planner.SplitBlocks,
                CameBackWhole = _planner.CameBack,
                Unsplit = _splits?.Unsplit ?? DomainFigures.None.Unsplit,
                Unmoved = s_unmoved.Where(o => _memory.Counters[o] > 0).ToDictionary(o => o.ToString(), o => _memory.Counters[o]),
            };
        }
        finally
        {
            _context.Scratch.Return(scratch);
        }
    }

    /// <summary>Between two rounds: makes room again for the pages that the guest is yet to touch for the first time.</summary>
    /// <param name="orders">What to do.</param>
    /// <param name="stop">Ends the moves.</param>
    /// <returns>True if pages were moved.</returns>
    public async Task<bool> RestoreHeadroomAsync(DomainOrders orders, CancellationToken stop)
    {
        // Bound memory is not in the plan: an access to it would pass for a birth.
        bool mayMove = orders.Mode == TieringMode.Enforce && Problem is null && !RunsGuests && _boundPages is (0, 0);
        if (!mayMove || _slowAllowed.Count == 0 || _planner.BornPages == 0)
            return false;
        _planner.RestoreHeadroom(_leftFast + _planner.BornPages, _plan);
        if (_plan.Demotions.IsEmpty)
            return false;
        MoveReport report = await _context.Mover.MoveAsync(_memory, _plan.Demotions, _slowAllowed, stop);
        ObserveMoves();
        _leftFast -= report.Moved;
        _demotedWithin += report.Moved;
        return true;
    }

    /// <summary>Why the kernel will not let pages move between the tiers, with what mends it; null if it will.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="slowNodes">The slow nodes that it may have memory on. One of them is enough.</param>
    private string? FindForbidden(RunningDomain domain, out IReadOnlyList<int> slowNodes)
    {
        string? first = null;
        slowNodes = [.. _slowNodes.Where(node => Forbids(node) is not { } why || (first ??= why) is null)];
        if (_slowNodes.Count == 0)
            return null;
        return Forbids(_fastNode) ?? (slowNodes.Count > 0 ? null : first);

        string? Forbids(int node) =>
            _context.Mover.CheckNode(_process.Pid, node) is { } forbidden ? ForbiddenTier.ByCpuset(domain, forbidden).ToString()
            : ForbiddenTier.ByCell(domain, node) is { } cell ? cell.ToString()
            : _context.Mover.CheckNode(0, node) is { } own ? $"the agent itself: {own}"
            : null;
    }

    /// <summary>What is bound to nodes, looked at now and then, and whenever page indexes have come
    /// to mean other memory.</summary>
    private BoundMemory FindBound()
    {
        if (_bound is not null && _context.Time.GetElapsedTime(_boundRead) < _boundKeptFor)
            return _bound;
        long start = _context.Time.GetTimestamp();
        _bound = BoundMemory.Find(_context.Mover.ReadBindings(_process.Pid), _memory.Layout, [_fastNode, .. _slowNodes]);
        _boundRead = _context.Time.GetTimestamp();
        TimeSpan cost = _context.Time.GetElapsedTime(start, _boundRead) * BoundRarity;
        _boundKeptFor = cost > s_boundKeptFor ? cost : s_boundKeptFor;
        return _bound;
    }

    private void Plan(DomainOrders orders, bool moves, TimeSpan round, RoundScratch scratch)
    {
        // After a rest there are the harvests of a round, an interval apart, with a decision after each.
        SamplingPace sampling = _context.Sampling;
        _planner.DecisionSpacing = 1 - ((sampling.HarvestsPerRound - 1) * (sampling.Interval / round));
        Span<byte> tiers = scratch.Pages(_memory.Layout.PageCount);
        scratch.Reader.Read(_process.Pid, _memory.Layout, 0, tiers);
        // Pages that somebody else moved back are not to be fought over.
        _memory.Observe(0, tiers);
        _context.Host.ToTiers(tiers);
        _boundPages = FindBound().TakeOut(tiers);
        long mostMoves = moves ? MostMoves(orders.Limits) : 0;
        _planner.MoveCost = _price.Cost;
        if (moves)
            _splits?.Run(_planner, _memory.Layout, tiers);
        _planner.EndRound(tiers, Math.Max(0, orders.BudgetPages - _boundPages.Fast), mostMoves, _plan);
        if (_watched > TimeSpan.Zero)
            Curve = _planner.Curve(_watched);
        // For the next round: this one's plan says how many accesses there are.
        _price.Update(GuestTime(), _plan.Accesses, LargeShare());
        _watched = TimeSpan.Zero;
    }

    /// <summary>
    /// Pages that can be moved before what the plan knows has grown old: as many as the traffic of one round allows, and no more
    /// than the CPU time does before the next round is due at the latest.
    /// </summary>
    private long MostMoves(MoveLimits limits)
    {
        double byRate = limits.BytesPerSecond * _context.Sampling.Round.TotalSeconds / PageSizes.PageBytes;
        double byWork = limits.CpuShare * _context.Sampling.LongestRound.TotalSeconds / _price.SecondsEach;
        return (long)Math.Min(byRate, byWork);
    }

    /// <summary>CPU time that the guest used while it was looked at, if it used it evenly since the last round.</summary>
    private TimeSpan GuestTime()
    {
        CpuReading before = _guestTime;
        _guestTime = new CpuReading(_context.Time.GetTimestamp(), ProcessFacts.ReadCpuTime(_process.Pid));
        TimeSpan elapsed = _context.Time.GetElapsedTime(before.Timestamp, _guestTime.Timestamp);
        return before.Timestamp == 0 ? TimeSpan.Zero : (_guestTime.Used - before.Used) * (_watched / elapsed);
    }

    private double LargeShare()
    {
        ReadOnlySpan<MappingSize> sizes = _buffers.Sizes.Span;
        int large = sizes.Count(MappingSize.Size2M);
        return large / (double)Math.Max(1, large + sizes.Count(MappingSize.Size4K));
    }

    private void ObserveMoves()
    {
        MovesDone before = _moved;
        MoveCounters counters = _memory.Counters;
        long large = counters.MovedInBlocks;
        _moved = new MovesDone(counters[MoveOutcome.Moved] - large, counters.CpuTime - counters.BlockCpuTime, large,
            counters.BlockCpuTime);
        _price.ObservePages(_moved.Small - before.Small, _moved.SmallTime - before.SmallTime);
        _price.ObserveBlocks(_moved.Large - before.Large, _moved.LargeTime - before.LargeTime);
    }

    /// <summary>CPU time that harvests took since this was last asked.</summary>
    private TimeSpan HarvestTime(SamplerInfo info)
    {
        TimeSpan before = _harvestTime;
        _harvestTime = info.HarvestTime;
        return _harvestTime - before;
    }

    private async Task<(long Demoted, long Promoted)> ExchangeAsync(IReadOnlyList<int> slowNodes, CancellationToken stop)
    {
        ExchangeReport report = await _context.Exchange.RunAsync(
            _memory,
            new MoveOrder(_plan.Demotions, slowNodes),
            new MoveOrder(_plan.Promotions, _fastNode),
            room: _plan.TargetPages - _plan.FastPages,
            stop);
        Problem ??= report.Demoted.Problem ?? report.Promoted.Problem;
        return (report.Demoted.Moved, report.Promoted.Moved);
    }

    private GuestLayout ReadLayout()
    {
        // The generation first: slots that change in between then show as a change at the next harvest.
        _generation = _sampler.GetInfo().Generation;
        return GuestLayout.FromMemslots(_sampler.GetMemslots());
    }

    /// <summary>A number that changes when page indexes come to mean other memory.</summary>
    private ulong MemoryId()
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(MemoryMarshal.AsBytes<ulong>([(ulong)_process.Pid, _process.StartTime]));
        foreach (GfnRange range in _memory.Layout.GfnRanges)
            hash.AppendData(MemoryMarshal.AsBytes<ulong>([range.FirstGfn, (ulong)range.FirstIndex, (ulong)range.PageCount]));
        return BinaryPrimitives.ReadUInt64LittleEndian(hash.GetHashAndReset());
    }

    private bool Relayout()
    {
        GuestLayout layout = ReadLayout();
        if (layout.Same(_memory.Layout))
            return false;
        (GuestLayout before, PlacementPlanner planner) = (_memory.Layout, _planner);
        _memory.Relayout(layout);
        _bound = null;
        (_buffers, _planner) = StartOver(layout);
        _planner.TakeOver(planner, layout.KeptFrom(before));
        return true;
    }

    private (HarvestBuffers Buffers, PlacementPlanner Planner) StartOver(GuestLayout layout) =>
        layout.PageCount > 0
            ? (new HarvestBuffers(layout), new PlacementPlanner(layout.PageCount, _canSample) { WriteWeight = _writeWeight })
            : throw new GuestMemoryException(GuestMemoryError.NotAGuest, "the guest has no memory yet");

    private readonly record struct CpuReading(long Timestamp, TimeSpan Used);

    private readonly record struct MovesDone(long Small, TimeSpan SmallTime, long Large, TimeSpan LargeTime);
}
