// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Agent;

/// <summary>
/// Where in its tier each page of one guest belongs: hot ones on the fast node where they are used, cold ones on the slow node
/// behind the fast one that they were on, one step down at a time. One thread at a time uses it.
/// </summary>
/// <remarks>
/// A guest is divided into areas: its own NUMA cells, and what of these is bound to nodes. Each has a home (see
/// <see cref="FastHome"/>): by what its owner says, else by where its virtual CPUs ran, else none,
/// and a page belongs where it is.
/// </remarks>
internal sealed class GuestHomes
{
    /// <summary>Room that is kept on a node of a middle tier for what comes from above: one part in so many of it.</summary>
    internal const int RoomPart = 32;

    // What reads cost where firmware does not say how far nodes are from one another: another socket, twice that of one's own.
    private const int LocalDistance = 10;

    private readonly HostMemory _host;
    private readonly PageMover _mover;
    private readonly GuestNodes _nodes;
    private readonly VcpuResidence _residence;
    private readonly FastHome _chooser;
    private readonly Dictionary<string, Home> _homes = [];
    private readonly List<Area> _areas = [];
    private readonly RouteBook _promotions = new();
    private readonly RouteBook _demotions = new();
    private readonly RouteBook _rehomings = new();
    private readonly RouteBook _sinkings = new();
    private readonly RouteBook _raisings = new();
    private readonly List<PageRun> _hotAway = [];
    private readonly List<PageRun> _sinking = [];
    private readonly List<PageRun> _raising = [];
    private NumaHints? _hints;
    private BoundMemory? _bound;
    private GuestLayout? _layout;
    private int _looks;

    /// <summary>Of a guest that was not looked at yet.</summary>
    /// <param name="host">The host's memory.</param>
    /// <param name="mover">Knows how much room nodes have.</param>
    /// <param name="nodes">What the guest may have.</param>
    /// <param name="residence">Where its virtual CPUs run.</param>
    public GuestHomes(HostMemory host, PageMover mover, GuestNodes nodes, VcpuResidence residence)
    {
        _host = host;
        _mover = mover;
        _nodes = nodes;
        _residence = residence;
        _chooser = new FastHome(host.Tiers, host.Nodes, host.BytesOf);
    }

    /// <summary>The share of the guest that is at home on each fast node; empty while that is not known.</summary>
    public IReadOnlyList<NodeShare> Shares { get; private set; } = [];

    /// <summary>Hot pages in the fast tier that are not at home, as of the last <see cref="Plan"/>.</summary>
    public long HotAwayPages { get; private set; }

    /// <summary>Sees where the virtual CPUs run: after each harvest.</summary>
    public void SeeVcpus()
    {
        if (_host.FastNodes.Count > 1)
            _residence.Look();
    }

    /// <summary>Chooses the homes.</summary>
    /// <param name="orders">What is known of the domain.</param>
    /// <param name="layout">Its memory.</param>
    /// <param name="bound">What of it is bound.</param>
    /// <param name="nodes">The node of each page.</param>
    public void Look(DomainOrders orders, GuestLayout layout, BoundMemory bound, ReadOnlySpan<byte> nodes)
    {
        NumaHints hints = orders.Domain.Numa;
        if (hints != _hints || bound != _bound || layout != _layout)
        {
            (_hints, _bound, _layout) = (hints, bound, layout);
            Divide(hints, bound, layout);
        }
        const int looksAtPins = 8; // they seldom change, and each is a file
        if (_host.FastNodes.Count > 1 && _looks++ % looksAtPins == 0)
            _residence.LookAtPins();

        long need = BudgetDemands.Of(orders.Settings, orders.Domain.MemoryBytes, orders.Domain.UsableMemoryBytes).Most
            * PageSizes.PageBytes;
        foreach (IGrouping<Home, Area> areas in _areas.GroupBy(area => area.Home))
            Choose(areas.Key, [.. areas], need, hints, nodes);
        Shares = ShareOut();
    }

    /// <summary>Decides, after the round's plan, along which route each of its pages goes,
    /// and what moves within its tier.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="planner">Who made it.</param>
    /// <param name="nodes">The node of each page; used up.</param>
    /// <param name="tiers">The tier of each page.</param>
    /// <param name="maxMoves">Most pages to move, those of the plan among them.</param>
    public HomeOrders Plan(
        MovePlan plan, PlacementPlanner planner, Span<byte> nodes, ReadOnlySpan<byte> tiers, long maxMoves)
    {
        HomeOrders orders = new(
            _demotions.Order(plan.Demotions, Routes(plan.Demotions.Span, nodes, (area, node) => Below(area, node))),
            _promotions.Order(plan.Promotions, Routes(plan.Promotions.Span, nodes, Upwards)));
        double[] gains = new double[Residency.HighestNode + 2];
        double[] stepGains = new double[Residency.HighestNode + 2];
        ToKinds(nodes, tiers, gains, stepGains);
        // What changes its tier has its place already.
        foreach (PageRun run in plan.Demotions.Span)
            nodes.Slice(run.First, run.Count).Clear();
        foreach (PageRun run in plan.Promotions.Span)
            nodes.Slice(run.First, run.Count).Clear();
        long left = Math.Max(0, maxMoves - plan.DemotedPages - plan.PromotedPages);
        HotAwayPages = planner.PickHot(nodes, gains, _host.Rehomes ? left : 0, _hotAway);
        left -= Pages(_hotAway);
        PickBetweenSlowTiers(planner, nodes, stepGains, left);
        return orders with
        {
            Rehome = _rehomings.Order(_hotAway.ToArray(), Routes([.. _hotAway], nodes, (area, _) => area.Home.Nodes)),
            Sink = _sinkings.Order(_sinking.ToArray(), Routes([.. _sinking], nodes, (area, kind) => Below(area, kind - 1))),
            Raise = _raisings.Order(_raising.ToArray(), Routes([.. _raising], nodes, (area, kind) => Above(area, kind - 1))),
        };
    }

    /// <summary>Decides what goes from one slow tier to another: the coldest of a crowded node down. Where none is crowded, warm
    /// pages go up into what room there is; for those that find none, pages that would not earn the way up make room.</summary>
    private void PickBetweenSlowTiers(PlacementPlanner planner, ReadOnlySpan<byte> kinds, double[] stepGains, long mostMoves)
    {
        _sinking.Clear();
        _raising.Clear();
        (Dictionary<int, long> crowded, long room) = LookAtMiddleTiers();
        if (crowded.Count > 0)
        {
            planner.PickCold(
                kinds, kind => crowded.ContainsKey(kind - 1), Math.Min(mostMoves, crowded.Values.Sum()), _sinking);
            return;
        }
        if (_host.Tiers.All.Count < 3)
            return;
        planner.PickWarm(kinds, stepGains, mostMoves, _raising);
        long warm = Pages(_raising);
        long missing = Math.Min(warm - room, mostMoves - Math.Min(warm, room));
        if (missing > 0)
        {
            planner.PickCold(
                kinds, kind => _host.Tiers.RankOf(kind - 1) is int rank && rank > 0 && rank < _host.Tiers.All.Count - 1, missing,
                _sinking, stepGains.Max());
        }
        int fits = 0;
        for (long left = room; fits < _raising.Count && (left -= _raising[fits].Count) >= 0;)
            fits++;
        _raising.RemoveRange(fits, _raising.Count - fits);
    }

    private static long Pages(List<PageRun> runs) => runs.Sum(run => (long)run.Count);

    /// <summary>The route of cold pages of which it is not known where they are: down from home.</summary>
    public IReadOnlyList<int> UsualWayDown =>
        _areas is [{ Home.Nodes: [int home, ..] } area, ..] ? Below(area, home) : _nodes.SlowAllowed;

    private IReadOnlyList<int> Upwards(Area area, int node)
    {
        int from = area.Home.Nodes is [int only] ? only : node;
        IReadOnlyList<int> near = _host.Tiers.FastNodesFrom(from);
        return [.. near.Where(area.Home.Nodes.Contains), .. near.Where(n => !area.Home.Nodes.Contains(n) && IsAllowed(area, n))];
    }

    private IReadOnlyList<int> Below(Area area, int node) =>
        [.. _host.Tiers.SlowerNodesFrom(node).Where(n => _nodes.SlowAllowed.Contains(n) && area.Allows(n))];

    private IReadOnlyList<int> Above(Area area, int node) =>
        [.. _host.Tiers.SlowNodesAbove(node, area.Home.Nodes is [int home, ..] ? home : node)
            .Where(n => _nodes.SlowAllowed.Contains(n) && area.Allows(n))];

    private bool IsAllowed(Area area, int fast) => _nodes.FastAllowed.Contains(fast) && area.Allows(fast);

    private (int Key, IReadOnlyList<int> Nodes)[] Routes(
        ReadOnlySpan<PageRun> runs, ReadOnlySpan<byte> nodes, Func<Area, int, IReadOnlyList<int>> route)
    {
        Dictionary<int, IReadOnlyList<int>> known = [];
        (int, IReadOnlyList<int>)[] routes = new (int, IReadOnlyList<int>)[runs.Length];
        int at = 0;
        for (int i = 0; i < runs.Length; i++)
        {
            int page = runs[i].First;
            if (page < _areas[at].First || page >= _areas[at].End)
                at = AreaOf(page);
            int key = (at << 8) | nodes[page];
            if (!known.TryGetValue(key, out IReadOnlyList<int>? way))
                known[key] = way = route(_areas[at], nodes[page]);
            routes[i] = (key, way);
        }
        return routes;
    }

    private int AreaOf(int page)
    {
        int low = 0;
        for (int high = _areas.Count - 1; low < high;)
        {
            int middle = (low + high + 1) / 2;
            if (_areas[middle].First <= page)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }

    /// <summary>Divides the guest into areas, without gaps and in order.</summary>
    private void Divide(NumaHints hints, BoundMemory bound, GuestLayout layout)
    {
        (int First, int End, GuestCell Cell)[] cells = [.. GuestCell.Place(GuestCell.ReadAll(hints), layout)];
        SortedSet<int> borders =
            [0, layout.PageCount, .. cells.SelectMany(c => (int[])[c.First, c.End]),
                .. bound.Limits.SelectMany(l => (int[])[l.First, l.End])];
        // There may be tens of thousands, none over another: in the order of their pages each is passed once.
        (int First, int End, IReadOnlyList<int> Nodes)[] limits = [.. bound.Limits.OrderBy(l => l.First)];
        int next = 0;
        _areas.Clear();
        foreach ((int first, int end) in borders.Zip(borders.Skip(1)))
        {
            GuestCell? cell = Array.Find(cells, c => c.First <= first && c.End >= end).Cell;
            while (next < limits.Length && limits[next].End <= first)
                next++;
            IReadOnlyList<int>? limit = next < limits.Length && limits[next].First <= first ? limits[next].Nodes : null;
            string key = $"{cell?.Id} {(limit is null ? "" : NodeList.Format(limit))}";
            if (!_homes.TryGetValue(key, out Home? home))
                _homes[key] = home = new Home();
            _areas.Add(new Area(first, end, cell, limit, home));
        }
    }

    private void Choose(Home home, Area[] areas, long needOfAll, NumaHints hints, ReadOnlySpan<byte> nodes)
    {
        Area area = areas[0];
        int[] allowed = [.. _nodes.Fast.Where(node => IsAllowed(area, node))];
        Dictionary<int, long> pages = [];
        if (home.Nodes.Count == 0)
        {
            foreach (int node in allowed)
            {
                foreach (Area part in areas)
                    pages[node] = pages.GetValueOrDefault(node) + nodes[part.First..part.End].Count((byte)node);
            }
        }
        long all = areas.Sum(part => (long)part.End - part.First);
        bool isCell = area.Cell is { Vcpus.Count: > 0 };
        IReadOnlyList<int> wish = area.Cell is { Wish.Count: > 0 } cell ? cell.Wish
            : hints.Mode is "preferred" or "interleave" ? GuestCell.ParseList(hints.Nodeset) ?? [] : [];
        home.Nodes = _chooser.Choose(
            new HomeLimits(allowed, wish, area.Cell?.IsSpread ?? hints.Mode == "interleave"),
            _residence.SecondsByNode(isCell ? [.. area.Cell!.Vcpus] : null),
            node => pages.GetValueOrDefault(node),
            home.Nodes,
            new HomeNeed((long)((Int128)needOfAll * all / Math.Max(1, nodes.Length)),
                isCell ? area.Cell!.Vcpus.Count : _residence.VcpuCount));
    }

    private IReadOnlyList<NodeShare> ShareOut()
    {
        if (_host.FastNodes.Count == 1 || _areas.Any(area => area.Home.Nodes.Count == 0))
            return [];
        Dictionary<int, double> pages = [];
        foreach (Area area in _areas)
        {
            double room = Math.Max(1, area.Home.Nodes.Sum(_host.BytesOf));
            foreach (int node in area.Home.Nodes)
                pages[node] = pages.GetValueOrDefault(node) + ((area.End - area.First) * _host.BytesOf(node) / room);
        }
        double all = Math.Max(1, pages.Values.Sum());
        return [.. pages.OrderBy(on => on.Key).Select(on => new NodeShare(on.Key, on.Value / all))];
    }

    /// <summary>Looks how full the nodes of middle tiers are.</summary>
    /// <returns>Those that are short of room, with how many pages of each should go; and the pages that the others
    /// have room for beyond what is kept.</returns>
    private (Dictionary<int, long> Crowded, long Room) LookAtMiddleTiers()
    {
        Dictionary<int, long> crowded = [];
        long room = 0;
        foreach (int node in _host.Tiers.All.Skip(1).SkipLast(1).SelectMany(tier => tier.Nodes))
        {
            long kept = _host.BytesOf(node) / RoomPart;
            long free = _mover.FreeBytes(node);
            if (free < kept)
                crowded[node] = ((2 * kept) - free) / PageSizes.PageBytes;
            else
                room += Math.Max(0, free - (2 * kept)) / PageSizes.PageBytes;
        }
        return (crowded, room);
    }

    /// <summary>Turns the node of each page into that node and one, where the page is away from home or may go to another slow
    /// tier, and into 0 where it is to stay. Tells what an access gains where the page is at home, and one tier up.</summary>
    private void ToKinds(Span<byte> nodes, ReadOnlySpan<byte> tiers, double[] gains, double[] stepGains)
    {
        int[] slow = _host.Tiers.All.Count > 2 ? [.. _host.Tiers.All.Skip(1).SelectMany(tier => tier.Nodes)] : [];
        Span<byte> kindOf = stackalloc byte[256];
        foreach (Area area in _areas)
        {
            kindOf.Clear();
            foreach (int node in slow)
            {
                kindOf[node] = (byte)(node + 1);
                if (Above(area, node) is [int above, ..])
                    stepGains[node + 1] = Math.Max(stepGains[node + 1], StepGain(area, node, above));
            }
            if (area.Home.Nodes is [int home, ..])
            {
                foreach (int node in _host.FastNodes.Except(area.Home.Nodes))
                {
                    kindOf[node] = (byte)(node + 1);
                    gains[node + 1] = Math.Max(gains[node + 1], Gain(home, node));
                }
            }
            Span<byte> part = nodes[area.First..area.End];
            if (kindOf.ContainsAnyExcept((byte)0))
            {
                for (int i = 0; i < part.Length; i++)
                    part[i] = tiers[area.First + i] is Residency.Fast or Residency.Slow ? kindOf[part[i]] : (byte)0;
            }
            else
            {
                part.Clear();
            }
        }
    }

    /// <summary>What an access gains by going to a node of the slow tier above, as a part of what it gains by being fast rather
    /// than slow. Where the firmware does not tell the two apart, as much as another socket costs.</summary>
    private double StepGain(Area area, int node, int above)
    {
        int from = area.Home.Nodes is [int home, ..] ? home : _host.FastNodes[0];
        double step = Known(_host.Tiers.Distance(from, node)) - Known(_host.Tiers.Distance(from, above));
        return Math.Max(LocalDistance, step) / SlowLoss(from);
    }

    /// <summary>What an access gains by going to the home node and not to another one, as a part of what it gains by being fast
    /// rather than slow.</summary>
    private double Gain(int home, int node)
    {
        double away = Known(_host.Tiers.Distance(home, node));
        return Math.Max(0, (away - LocalDistance) / SlowLoss(home));
    }

    // What an access loses on the slow node behind a fast one, in the unit of distances.
    private double SlowLoss(int fast) => Math.Max(
        1,
        Known(_host.Tiers.SlowerNodeNear(fast) is int below ? _host.Tiers.Distance(fast, below) : 2 * LocalDistance)
            - LocalDistance);

    private static double Known(int distance) => distance == int.MaxValue ? 2 * LocalDistance : distance;

    /// <summary>Pages first to one before end.</summary>
    private sealed record Area(int First, int End, GuestCell? Cell, IReadOnlyList<int>? Limit, Home Home)
    {
        public bool Allows(int node) => (Limit?.Contains(node) ?? true) && (Cell?.Limit?.Contains(node) ?? true);
    }

    /// <summary>Where some areas are at home; none while that is not known.</summary>
    private sealed class Home
    {
        public IReadOnlyList<int> Nodes { get; set; } = [];
    }

    /// <summary>Makes orders of runs and their routes; its arrays are used again for the next.</summary>
    private sealed class RouteBook
    {
        private ushort[] _routeOf = [];

        public MoveOrder Order(ReadOnlyMemory<PageRun> runs, (int Key, IReadOnlyList<int> Nodes)[] routes)
        {
            if (_routeOf.Length < runs.Length)
                _routeOf = new ushort[runs.Length];
            Dictionary<int, ushort> places = [];
            List<IReadOnlyList<int>> distinct = [];
            for (int i = 0; i < runs.Length; i++)
            {
                (int key, IReadOnlyList<int> nodes) = routes[i];
                if (!places.TryGetValue(key, out ushort place))
                {
                    places[key] = place = (ushort)distinct.Count;
                    distinct.Add(nodes);
                }
                _routeOf[i] = place;
            }
            return new MoveOrder(runs, distinct, _routeOf.AsMemory(0, runs.Length));
        }
    }
}

/// <summary>What is to move in a round, and to where.</summary>
/// <param name="Demote">Down.</param>
/// <param name="Promote">Up.</param>
internal sealed record HomeOrders(MoveOrder Demote, MoveOrder Promote)
{
    /// <summary>From one fast node to another; null for nothing.</summary>
    public MoveOrder? Rehome { get; init; }

    /// <summary>From one slow tier to the next; null for nothing.</summary>
    public MoveOrder? Sink { get; init; }

    /// <summary>From one slow tier to the one above it; null for nothing.</summary>
    public MoveOrder? Raise { get; init; }
}
