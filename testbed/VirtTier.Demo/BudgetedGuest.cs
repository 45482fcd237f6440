// SPDX-License-Identifier: Apache-2.0
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>A guest with exactly known accesses and a budget, on a host other than that of the main job.</summary>
/// <param name="Payload">The guest.</param>
/// <param name="BudgetMebibytes">Most fast memory that it may have, in MiB.</param>
/// <param name="HugePages">Whether its memory comes in 2 MiB pages.</param>
internal sealed record BudgetedGuest(PayloadGuest Payload, int BudgetMebibytes, bool HugePages = false)
{
    public const int PagesInMebibyte = 256;

    public string Name => Payload.Name;

    public int BudgetPages => BudgetMebibytes * PagesInMebibyte;

    /// <summary>The frames that it keeps touching, before its hot set shifts.</summary>
    public IReadOnlySet<int> Hot { get; } = Payload.HotFrames();

    /// <summary>The node of each of its pages, by the kernel's word, in order of frames; 255 for none.</summary>
    public Task<byte[]> NodesAsync(DemoHost host, CancellationToken cancel) =>
        host.NodesAsync(Name, Payload.Cells.Select(cell => cell.MemoryMebibytes), cancel);

    /// <summary>The share of its hot pages that are on the nodes where they should be.</summary>
    public double HotShare(byte[] nodes, Func<int, int> nodeOf) =>
        Hot.Count(frame => nodes[frame] == nodeOf(frame)) / (double)Hot.Count;
}
