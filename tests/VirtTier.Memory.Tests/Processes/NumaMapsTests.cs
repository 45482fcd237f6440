// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Tmds.Linux;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Tests.Fakes;

namespace VirtTier.Memory.Tests.Processes;

public sealed class NumaMapsTests : IDisposable
{
    // As the kernel writes it, of a QEMU with one cell bound to node 0 (two mappings of it) and others under each other policy.
    private const string Qemu = """
        55d0c8a00000 default file=/usr/bin/qemu-system-x86_64 mapped=1417 N0=1417 kernelpagesize_kB=4
        7f1a00000000 bind:0 anon=262144 dirty=262144 N0=262144 kernelpagesize_kB=4
        7f1a40000000 bind:0 anon=262144 dirty=262144 N0=262144 kernelpagesize_kB=4
        7f1a80000000 prefer:1 anon=262144 dirty=262144 N1=262144 kernelpagesize_kB=4
        7f1ac0000000 prefer (many):0-1 anon=512 N0=512 kernelpagesize_kB=4
        7f1b00000000 interleave:0-1 anon=512 N0=256 N1=256 kernelpagesize_kB=4
        7f1b40000000 weighted interleave:0-1 anon=512 N0=256 N1=256 kernelpagesize_kB=4
        7f1b80000000 local anon=1 N0=1 kernelpagesize_kB=4
        7f1bc0000000 bind=static:1,3 huge anon=2 N1=2 kernelpagesize_kB=2048
        7f1c00000000 bind=relative:0-1 file=/memfd:pc.ram\040bind:7 (deleted) mapped=1 N0=1 kernelpagesize_kB=4
        7ffd00000000 default stack anon=3 N0=3 kernelpagesize_kB=4
        """;

    private readonly TempTree _proc = new();

    public void Dispose() => _proc.Dispose();

    [Fact]
    public void Strict_policies_are_told_from_wishes() => Assert.Equal(
        "7f1a00000000-7f1a80000000 0; 7f1bc0000000-7f1c00000000 1,3; 7f1c00000000-7ffd00000000 0-1", Show(Parse(Qemu)));

    [Fact]
    public void Memory_that_is_bound_to_the_end_is_bound_to_the_end() =>
        Assert.Equal("7000-ffffffffffffffff 2", Show(Parse("1000 default\n7000 bind:2 anon=1\n")));

    [Theory]
    [InlineData("nothing\n")]
    [InlineData("7f00zz default anon=1\n")]
    [InlineData("2000 default\n1000 bind:0\n")]
    [InlineData("1000 bind:\n")]
    [InlineData("1000 bind anon=1\n")]
    [InlineData("1000 bind:x anon=1\n")]
    [InlineData("1000 bindmore:0 anon=1\n")]
    public void What_makes_no_sense_is_refused_by_file_and_not_taken_for_free(string text)
    {
        _proc.File("42/stat", "").File("42/numa_maps", text);
        var error = Assert.Throws<GuestMemoryException>(() => NumaMaps.Read(42, _proc.Root));
        Assert.StartsWith($"cannot read {_proc.PathOf("42/numa_maps")}: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_process_that_ended_is_told_from_a_kernel_without_numa()
    {
        Assert.Equal(GuestMemoryError.ProcessGone, Assert.Throws<GuestMemoryException>(() => NumaMaps.Read(42, _proc.Root)).Kind);
        _proc.File("42/stat", "");
        Assert.Empty(NumaMaps.Read(42, _proc.Root));
    }

    /// <summary>Whatever the text says: bindings in order that do not overlap, of nodes that can be, or a refusal.</summary>
    [Fact]
    public void Damaged_texts_give_ordered_bindings_or_a_refusal()
    {
        Random random = new(5);
        (int read, int refused) = (0, 0);
        for (int round = 0; round < 20_000; round++)
        {
            string text = Mutation.Of(random, Qemu);
            try
            {
                IReadOnlyList<MemoryBinding> bound = Parse(text);
                read++;
                ulong end = 0;
                foreach (MemoryBinding binding in bound)
                {
                    Assert.True(binding.Start >= end && binding.End > binding.Start, text);
                    end = binding.End;
                    Assert.NotEmpty(binding.Nodes);
                    Assert.All(binding.Nodes, node => Assert.InRange(node, 0, NodeList.Highest));
                }
            }
            catch (FormatException e)
            {
                refused++;
                Assert.InRange(e.Message.Length, 10, 200);
                Assert.DoesNotContain(e.Message, char.IsControl);
            }
        }
        Assert.True(read > 1000 && refused > 1000, $"{read} read and {refused} refused: the damage shows too little");
    }

    [Fact]
    public unsafe void The_running_kernel_says_what_this_process_has_bound()
    {
        const uint Length = 16 << 20;
        byte* memory = (byte*)NativeMemory.AlignedAlloc(Length, 2 << 20);
        try
        {
            int node = NumaTopology.Read().Tiers.Fast.Nodes[0];
            ulong mask = 1ul << node;
            ulong start = (ulong)memory;
            Assert.False(IsBound(start), "memory is bound before anyone bound it");

            Bind(Preferred, start, Length);
            Assert.False(IsBound(start), "a wish is taken for a limit");

            Bind(Strict, start + (4 << 20), 8 << 20);
            NativeMemory.Clear(memory, Length);
            Assert.False(IsBound(start));
            Assert.False(IsBound(start + (4 << 20) - 4096));
            Assert.True(IsBound(start + (4 << 20)));
            Assert.True(IsBound(start + (12 << 20) - 4096));
            Assert.False(IsBound(start + (12 << 20)));

            Bind(Default, start, Length);
            Assert.False(IsBound(start + (4 << 20)), "what is free again is still taken for bound");

            void Bind(int mode, ulong address, uint length)
            {
                ulong nodes = mask;
                bool bound = mode != Default;
                int result = (int)LibC.syscall(Mbind, (void*)address, length, mode, bound ? &nodes : null, bound ? 64 : 0, 0);
                Assert.Equal(0, result);
            }

            bool IsBound(ulong address) => NumaMaps.Read(Environment.ProcessId)
                .Any(binding => binding.Start <= address && address < binding.End && binding.Nodes.SequenceEqual([node]));
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    // asm/unistd_64.h and linux/mempolicy.h.
    private const int Mbind = 237, Default = 0, Preferred = 1, Strict = 2;

    private static IReadOnlyList<MemoryBinding> Parse(string text) => NumaMaps.Parse(new StringReader(text));

    private static string Show(IEnumerable<MemoryBinding> bound) =>
        string.Join("; ", bound.Select(binding => $"{binding.Start:x}-{binding.End:x} {NodeList.Format(binding.Nodes)}"));
}
