// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;
using VirtTier.Tiering.History;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Pictures;

/// <summary>What is kept of a guest only to be shown. Its loop writes, the bus reads.</summary>
internal sealed class GuestRecord
{
    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly GuestHistory _history;
    private readonly Dictionary<int, long> _nodePages = [];
    private readonly long[] _fast = new long[HeatLevels.Count];
    private readonly long[] _slow = new long[HeatLevels.Count];
    private GuestLayout _layout;

    public GuestRecord(GuestLayout layout, TimeProvider time)
    {
        _layout = layout;
        _time = time;
        _history = new GuestHistory(new HeatRing(layout.PageCount), new LongCurve());
    }

    /// <summary>Whether nothing was taken in yet.</summary>
    public bool IsNew { get; private set; } = true;

    private long Second => _time.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>The guest's memory is laid out so from now on.</summary>
    public void Relaid(GuestLayout layout)
    {
        lock (_lock)
        {
            _layout = layout;
            _history.Resize(layout.PageCount);
        }
    }

    /// <summary>Takes in a harvest.</summary>
    public void Harvested(HarvestBuffers harvest)
    {
        lock (_lock)
        {
            IsNew = false;
            _history.Ring.Observe(harvest.Accessed, harvest.Sizes.Span, Second);
        }
    }

    /// <summary>Takes in where the pages are.</summary>
    /// <param name="nodes">The node of each page, as <see cref="Residency"/> has it.</param>
    public void Looked(ReadOnlySpan<byte> nodes)
    {
        lock (_lock)
        {
            _nodePages.Clear();
            // Neighbours are mostly on one node, so whole runs are counted.
            while (!nodes.IsEmpty)
            {
                byte node = nodes[0];
                int run = nodes.IndexOfAnyExcept(node);
                run = run < 0 ? nodes.Length : run;
                if (node != Residency.Absent)
                    _nodePages[node] = _nodePages.GetValueOrDefault(node) + run;
                nodes = nodes[run..];
            }
        }
    }

    /// <summary>Takes in moves that have been made.</summary>
    /// <param name="promoted">Pages.</param>
    /// <param name="demoted">Pages.</param>
    public void Moved(long promoted, long demoted)
    {
        lock (_lock)
            _history.Moves.Add(promoted, demoted, Second);
    }

    /// <summary>Takes in the end of a round.</summary>
    /// <param name="planner">What ended it.</param>
    /// <param name="curve">The curve as of now; null while there is none.</param>
    /// <param name="lasted">Time from one round to the next.</param>
    public void EndRound(PlacementPlanner planner, DramCurve? curve, TimeSpan lasted)
    {
        lock (_lock)
        {
            planner.CountHeat(_fast, _slow);
            if (curve is not null)
                _history.Curve.Add(curve, lasted.TotalSeconds);
        }
    }

    /// <summary>What is known by its long curve.</summary>
    public T Ask<T>(Func<LongCurve, T> question)
    {
        lock (_lock)
            return question(_history.Curve);
    }

    /// <summary>Bytes on each node, by node.</summary>
    public IReadOnlyList<NodeBytes> Nodes()
    {
        lock (_lock)
            return [.. _nodePages.OrderBy(n => n.Key).Select(n => new NodeBytes(n.Key, n.Value * PageSizes.PageBytes))];
    }

    /// <summary>Bytes of each heat, the coldest first.</summary>
    public IReadOnlyList<HeatBytes> Heat()
    {
        lock (_lock)
        {
            return
            [
                .. Enumerable.Range(0, HeatLevels.Count).Select(step => new HeatBytes(
                    step == 0 ? null : Math.Round(HeatLevels.LeastHeat(step), 3), _fast[step] * PageSizes.PageBytes,
                    _slow[step] * PageSizes.PageBytes)),
            ];
        }
    }

    /// <summary>The picture of the last while, and the guest's address of each row.</summary>
    public (HeatPicture Picture, IReadOnlyList<ulong> Addresses) Picture(TimeSpan last)
    {
        lock (_lock)
        {
            HeatPicture picture = _history.Ring.Read(last, Second);
            IEnumerable<ulong> frames = Enumerable.Range(0, picture.Rows).Select(row => _layout.GfnOf(row * picture.RowPages));
            return (picture, [.. frames.Select(frame => frame * PageSizes.PageBytes)]);
        }
    }

    /// <summary>What was moved, and when: once in columns of each width, the narrowest first.</summary>
    public IReadOnlyList<MovedBytes> Moves()
    {
        lock (_lock)
        {
            return
            [
                .. _history.Moves.Read(Second).Select(picture => new MovedBytes(
                    DateTimeOffset.FromUnixTimeSeconds(picture.FirstSecond), picture.ColumnSeconds,
                    [.. picture.Promoted.Select(pages => pages * PageSizes.PageBytes)],
                    [.. picture.Demoted.Select(pages => pages * PageSizes.PageBytes)])),
            ];
        }
    }

    public byte[] Save(ulong guest)
    {
        lock (_lock)
            return _history.Save(guest);
    }

    /// <returns>Null, or why it cannot be used.</returns>
    public string? Restore(ReadOnlySpan<byte> state, ulong guest)
    {
        lock (_lock)
        {
            IsNew = false;
            return _history.Restore(state, guest);
        }
    }
}

/// <param name="Node">NUMA node.</param>
/// <param name="Bytes">Guest memory on it.</param>
internal sealed record NodeBytes(int Node, long Bytes);

/// <param name="LeastHeat">Heat (0..1, the share of harvests that find a page accessed, over sixteen rounds) of this step and up
/// to the next; null: never accessed.</param>
/// <param name="FastBytes">Memory of that heat in the fast tier.</param>
/// <param name="SlowBytes">Memory of that heat in slower tiers.</param>
internal sealed record HeatBytes(double? LeastHeat, long FastBytes, long SlowBytes);

/// <param name="First">When the first column began.</param>
/// <param name="ColumnSeconds">Time that a column is of.</param>
/// <param name="UpBytes">Memory promoted in each column, the oldest first.</param>
/// <param name="DownBytes">Memory demoted in each column, the oldest first.</param>
internal sealed record MovedBytes(
    DateTimeOffset First, int ColumnSeconds, IReadOnlyList<long> UpBytes, IReadOnlyList<long> DownBytes);
