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

    /// <summary>What is said of it in status; null if there is none.</summary>
    public string? Note => _runs.Length == 0
        ? null
        : $"{Sizes.Show(_runs.Sum(run => (long)(run.End - run.First)) * PageSizes.PageBytes)} of its memory is bound strictly "
            + $"to node {NodeList.Format(_nodes)} and stays there (a strict memnode of its numatune, "
            + "or policy=bind of a memory backend of QEMU); to have it tiered, start the domain without";

    /// <summary>Finds it. Memory that is bound to all nodes of a guest's tiers may move among them.</summary>
    public static BoundMemory Find(IReadOnlyList<MemoryBinding> bindings, GuestLayout layout, IReadOnlyCollection<int> nodes)
    {
        List<(int, int)> runs = [];
        SortedSet<int> bound = [];
        // Both may have tens of thousands: in the order of their addresses each is passed once.
        BackedRange[] ranges = [.. layout.Backed.OrderBy(range => range.Hva)];
        int first = 0;
        foreach (MemoryBinding binding in bindings.Where(binding => nodes.Except(binding.Nodes).Any()).OrderBy(b => b.Start))
        {
            while (first < ranges.Length && EndOf(ranges[first]) <= binding.Start)
                first++;
            for (int i = first; i < ranges.Length && ranges[i].Hva < binding.End; i++)
            {
                BackedRange range = ranges[i];
                (ulong from, ulong to) = (Math.Max(range.Hva, binding.Start), Math.Min(EndOf(range), binding.End));
                runs.Add((range.FirstIndex + (int)((from - range.Hva) / PageSizes.PageBytes),
                    range.FirstIndex + (int)((to - range.Hva) / PageSizes.PageBytes)));
                bound.UnionWith(binding.Nodes);
            }
        }
        return runs.Count == 0 ? None : new BoundMemory([.. runs], [.. bound]);
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
