// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Numa;

/// <summary>What a guest, or one of its NUMA cells, needs of the fast nodes that it is at home on.</summary>
/// <param name="Bytes">Most fast memory that it may hold.</param>
/// <param name="Vcpus">Its virtual CPUs; 0 if that is not known.</param>
public readonly record struct HomeNeed(long Bytes, int Vcpus);

/// <summary>What may be chosen among, and what is wished for.</summary>
/// <param name="Allowed">Fast nodes on which it may have memory.</param>
/// <param name="Wished">Nodes where its owner would like it to be; empty for no wish. A wish for what is not allowed is
/// none.</param>
/// <param name="IsSpread">Whether it is wished to be on all of these at once (interleave).</param>
public sealed record HomeLimits(IReadOnlyList<int> Allowed, IReadOnlyList<int> Wished, bool IsSpread = false);

/// <summary>Chooses the fast nodes where the hot pages of a guest, or of one of its NUMA cells, belong.</summary>
/// <remarks>
/// <para>That is one node, the one nearest to where its virtual CPUs run; more only where its memory or its virtual CPUs do not
/// fit one. None of them means that nothing is known: then a page belongs where it is.</para>
/// <para>A home is not left for little: only once three quarters of the CPU time of late were spent nearer to another. So a
/// guest whose virtual CPUs go to and fro, or run on two sockets alike, stays.</para>
/// </remarks>
/// <param name="tiers">The host's tiers.</param>
/// <param name="nodes">The host's nodes.</param>
/// <param name="fastBytes">Memory of a fast node that may be used.</param>
public sealed class FastHome(MemoryTiers tiers, IReadOnlyList<NumaNode> nodes, Func<int, long> fastBytes)
{
    // As a share of CPU time.
    private const double Decisive = 0.75;

    /// <summary>Chooses.</summary>
    /// <param name="limits">Among what.</param>
    /// <param name="ranOn">CPU time of late by node; nothing if that is not known.</param>
    /// <param name="pagesOn">Pages that are on a node now: of several nodes that serve alike,
    /// the one that has most is best.</param>
    /// <param name="present">What was chosen before; empty for the first time.</param>
    /// <param name="need">What has to fit.</param>
    /// <returns>The nodes, the best first; empty if nothing is known.</returns>
    public IReadOnlyList<int> Choose(
        HomeLimits limits, IReadOnlyDictionary<int, double> ranOn, Func<int, long> pagesOn, IReadOnlyList<int> present,
        HomeNeed need)
    {
        ArgumentNullException.ThrowIfNull(limits);
        ArgumentNullException.ThrowIfNull(ranOn);
        ArgumentNullException.ThrowIfNull(pagesOn);
        ArgumentNullException.ThrowIfNull(present);
        int[] wished = [.. limits.Wished.Intersect(limits.Allowed)];
        IReadOnlyList<int> candidates = wished.Length > 0 ? wished : limits.Allowed;
        if (candidates.Count <= 1 || (limits.IsSpread && wished.Length > 0))
            return candidates;

        int? center = Center(candidates, ranOn, pagesOn, [.. present.Where(candidates.Contains)]);
        return center is int best ? Grow(best, candidates, need) : [];
    }

    private int? Center(
        IReadOnlyList<int> candidates, IReadOnlyDictionary<int, double> ranOn, Func<int, long> pagesOn, int[] present)
    {
        double all = ranOn.Values.Sum();
        if (all <= 0)
            return present is [int known, ..] ? known : null;
        Dictionary<int, double> share = candidates.ToDictionary(node => node, _ => 0.0);
        foreach ((int cpuNode, double seconds) in ranOn)
            share[tiers.FastNodesFrom(cpuNode).First(candidates.Contains)] += seconds / all;

        int most = candidates.MaxBy(node => share[node]);
        if (present.Length > 0)
            return share[most] >= Decisive && !present.Contains(most) ? most : present[0];
        if (share[most] >= Decisive)
            return most;
        // Undecided: one that it runs on at all, with as little to move as possible.
        return candidates.Where(node => share[node] >= 1 - Decisive).DefaultIfEmpty(most).MaxBy(
            node => (pagesOn(node), share[node]));
    }

    private int[] Grow(int center, IReadOnlyList<int> candidates, HomeNeed need)
    {
        List<int> home = [];
        long bytes = 0;
        int cpus = 0;
        foreach (int node in tiers.FastNodesFrom(center).Where(candidates.Contains))
        {
            home.Add(node);
            bytes += fastBytes(node);
            // Processors of a socket without memory of its own count for the nearest that has some.
            cpus += nodes.Where(n => n.HasCpu && tiers.FastNodeNear(n.Id) == node).Sum(n => n.Cpus.Count);
            if (bytes >= need.Bytes && cpus >= need.Vcpus)
                break;
        }
        return [.. home];
    }
}
