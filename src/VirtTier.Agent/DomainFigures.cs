// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Pictures;

namespace VirtTier.Agent;

/// <summary>What the rounds of a domain found and did. Sums run since the sampler was attached.</summary>
internal record DomainFigures
{
    /// <summary>Before the first round.</summary>
    public static DomainFigures None { get; } = new();

    /// <summary>Rounds that have ended, their moves with them.</summary>
    public long Rounds { get; init; }

    /// <summary>Rounds that the heat was learned from: those before a restart of the agent among them.</summary>
    public long HeatRounds { get; init; }

    /// <summary>Time between two rounds now, in seconds: longer while the guest's habits stand still.</summary>
    public double RoundSeconds { get; init; }

    /// <summary>Guest memory on the fast tier as last looked at or moved, in bytes.</summary>
    public long FastBytes { get; init; }

    /// <summary>Guest memory on slower tiers as last looked at or moved, in bytes.</summary>
    public long SlowBytes { get; init; }

    /// <summary>Memory found hot in the last round, in bytes.</summary>
    public long HotBytes { get; init; }

    /// <summary>Of it, memory that was on the fast tier, in bytes.</summary>
    public long HotFastBytes { get; init; }

    /// <summary>Where its hot pages belong, by the fast node: the share (0..1) of its memory that is at home there. Empty while
    /// that is not known, and on hosts with one fast node.</summary>
    public IReadOnlyList<NodeShare> Home { get; init; } = [];

    /// <summary>Memory found hot in the last round that was on the fast tier, and on another node of it than it belongs to, in
    /// bytes.</summary>
    public long HotAwayBytes { get; init; }

    /// <summary>Pages brought from one fast node to another, where they are used.</summary>
    public long RehomedPages { get; init; }

    /// <summary>Pages sent from one slow tier to the next slower one, to make room in it.</summary>
    public long SunkPages { get; init; }

    /// <summary>Pages brought from one slow tier to the one above it, as they are used more than what was there.</summary>
    public long RaisedPages { get; init; }

    /// <summary>Pages brought to the fast tier.</summary>
    public long PromotedPages { get; init; }

    /// <summary>Pages sent to the slow tier.</summary>
    public long DemotedPages { get; init; }

    /// <summary>
    /// Share (0..1) of the pages moved of late that had been moved the other way within eight rounds: what was for nothing.
    /// </summary>
    public double PingPongShare { get; init; }

    /// <summary>What moving a page costs, in accesses that could have been fast: 1 until it was measured.</summary>
    public double MoveCost { get; init; }

    /// <summary>Fault samples taken in: of guests with 2 MiB mappings, or where writes weigh otherwise than reads.</summary>
    public long FaultSamples { get; init; }

    /// <summary>Its memory on each node, before the moves of the last round.</summary>
    public IReadOnlyList<NodeBytes> ByNode { get; init; } = [];

    /// <summary>Share (0..1) of its accesses that goes to slow memory, as far as accessed bits tell and with its pages as before
    /// the moves of the last round.</summary>
    public double SlowAccessShare { get; init; }

    /// <summary>How far predictions of that share were off of late, on average (0..1); null until one came due.</summary>
    public double? SlowAccessError { get; init; }

    /// <summary>Whether its pages may not move between the tiers, by a cpuset or a numatune.</summary>
    public bool IsForbidden { get; init; }

    /// <summary>CPU time that harvests took, in seconds.</summary>
    public double HarvestSeconds { get; init; }

    /// <summary>CPU time that moves took, in seconds.</summary>
    public double MoveSeconds { get; init; }

    /// <summary>2 MiB blocks that were split, so that their pages can be placed one by one.</summary>
    public long Splits { get; init; }

    /// <summary>Of these, blocks that were joined again.</summary>
    public long Joins { get; init; }

    /// <summary>Blocks that are split now.</summary>
    public long SplitBlocks { get; init; }

    /// <summary>Blocks that were split, and that somebody else joined: khugepaged, mostly.</summary>
    public long CameBackWhole { get; init; }

    /// <summary>Blocks that could not be split or joined, by cause.</summary>
    public IReadOnlyDictionary<string, long> Unsplit { get; init; } = new Dictionary<string, long>();

    /// <summary>Pages that would not move, by cause.</summary>
    public IReadOnlyDictionary<string, long> Unmoved { get; init; } = new Dictionary<string, long>();
}

/// <param name="Node">Number of a NUMA node.</param>
/// <param name="Share">A share, 0..1.</param>
internal sealed record NodeShare(int Node, double Share);
