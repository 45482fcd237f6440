// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Layout;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>The pages of a guest that its owner has bound to nodes which leave no choice between the tiers.
/// They stay where they are.</summary>
internal sealed class BoundMemory
{
    private readonly (int First, int End)[] _runs;
    private readonly int[] _nodes;

    private BoundMemory((int First, int End)[] runs, int[] nodes) => (_runs, _nodes) = (runs, nodes);

    /// <summary>Nothing is bound.</summary>
    public static BoundMemory None { get; } = new([], []);

    /// <summary>The pages that are bound to nodes which do leave a choice, first and one past the last: among these they may
    /// move.</summary>
    public IReadOnlyList<(int First, int End, IReadOnlyList<int> Nodes)> Limits { get; private init; } = [];

    /// <summary>What is said of it in status; null if there is none.</summary>
    public string? Note => _runs.Length == 0
        ? null
        : $"{Sizes.Show(_runs.Sum(run => (long)(run.End - run.First)) * PageSizes.PageBytes)} of its memory is bound strictly "
            + $"to node {NodeList.Format(_nodes)} and stays there (a strict memnode of its numatune, "
            + "or policy=bind of a memory backend of QEMU); to have it tiered, start the domain without";

    /// <summary>Finds it.</summary>
    /// <param name="bindings">What the kernel says.</param>
    /// <param name="layout">The guest's memory.</param>
    /// <param name="leavesChoice">Whether pages that are bound to some nodes can be tiered, or moved, among them.</param>
    public static BoundMemory Find(
        IReadOnlyList<MemoryBinding> bindings, GuestLayout layout, Func<IReadOnlyList<int>, bool> leavesChoice)
    {
        List<(int, int)> runs = [];
        List<(int, int, IReadOnlyList<int>)> limits = [];
        SortedSet<int> bound = [];
        // Both may have tens of thousands: in the order of their addresses each is passed once.
        BackedRange[] ranges = [.. layout.Backed.OrderBy(range => range.Hva)];
        int next = 0;
        foreach (MemoryBinding binding in bindings.OrderBy(b => b.Start))
        {
            bool isFree = leavesChoice(binding.Nodes);
            while (next < ranges.Length && EndOf(ranges[next]) <= binding.Start)
                next++;
            for (int i = next; i < ranges.Length && ranges[i].Hva < binding.End; i++)
            {
                BackedRange range = ranges[i];
                (ulong from, ulong to) = (Math.Max(range.Hva, binding.Start), Math.Min(EndOf(range), binding.End));
                (int first, int last) = (range.FirstIndex + (int)((from - range.Hva) / PageSizes.PageBytes),
                    range.FirstIndex + (int)((to - range.Hva) / PageSizes.PageBytes));
                if (isFree)
                {
                    limits.Add((first, last, binding.Nodes));
                    continue;
                }
                runs.Add((first, last));
                bound.UnionWith(binding.Nodes);
            }
        }
        return runs.Count + limits.Count == 0 ? None : new BoundMemory([.. runs], [.. bound]) { Limits = limits };
    }

    /// <summary>Takes its pages out of what is planned with.</summary>
    /// <param name="tiers">The tier of each page.</param>
    /// <returns>How many were in each tier.</returns>
    public (long Fast, long Slow) TakeOut(Span<byte> tiers)
    {
        (long fast, long slow) = (0, 0);
        foreach ((int first, int end) in _runs)
        {
            Span<byte> run = tiers[first..end];
            fast += run.Count(Residency.Fast);
            slow += run.Count(Residency.Slow);
            run.Fill(Residency.Apart);
        }
        return (fast, slow);
    }

    private static ulong EndOf(BackedRange range) => range.Hva + ((ulong)range.PageCount * PageSizes.PageBytes);
}
