// SPDX-License-Identifier: Apache-2.0
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>Where a guest's pages are, asked of the kernel page by page, against what the guest says is hot.</summary>
/// <param name="Dram">Pages on node 0.</param>
/// <param name="Slow">Pages on node 1.</param>
/// <param name="Hot">Pages that the guest keeps touching.</param>
/// <param name="HotInDram">Of these, pages on node 0.</param>
internal sealed record Placement(int Dram, int Slow, int Hot, int HotInDram)
{
    /// <summary>Reads the file of the tool <c>residency</c>: one signed byte a page in order of frames, -1 for absent.</summary>
    public static Placement Of(ReadOnlySpan<byte> nodes, IReadOnlySet<int> hotFrames)
    {
        int dram = nodes.Count((byte)0), slow = nodes.Count((byte)1), hotInDram = 0;
        // What QEMU has where the guest has no memory comes with the rest of a first 2 MiB page: not the guest's, so in no
        // budget.
        foreach (int frame in PayloadGuest.HoleFrames)
        {
            if (frame >= nodes.Length)
                continue;
            dram -= nodes[frame] == 0 ? 1 : 0;
            slow -= nodes[frame] == 1 ? 1 : 0;
        }
        foreach (int frame in hotFrames)
        {
            if (frame < nodes.Length && nodes[frame] == 0)
                hotInDram++;
        }
        return new Placement(dram, slow, hotFrames.Count, hotInDram);
    }

    public double HotShare => HotInDram / (double)Hot;

    public override string ToString() =>
        $"{HotInDram} of {Hot} hot pages in DRAM ({HotShare:P2}); DRAM {Dram} pages, slow {Slow}";
}
