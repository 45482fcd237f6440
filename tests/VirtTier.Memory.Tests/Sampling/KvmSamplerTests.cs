// SPDX-License-Identifier: Apache-2.0
using VirtTier.Linux;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;
using VirtTier.Memory.Tests.Fakes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Sampling;

public sealed class KvmSamplerTests : IDisposable
{
    private const string Path = "/proc/kvm_ept_sample";
    private readonly FakeSamplerDevice _device = new();

    public void Dispose() => _device.Dispose();

    [Fact]
    public void An_absent_module_is_named_with_the_command_that_loads_it()
    {
        var error = Assert.Throws<GuestMemoryException>(() => new KvmSamplerFactory("/nowhere/kvm_ept_sample").Attach(1));
        Assert.Equal(GuestMemoryError.ModuleAbsent, error.Kind);
        Assert.Contains("/nowhere/kvm_ept_sample", error.Message, StringComparison.Ordinal);
        Assert.Contains("modprobe kvm_ept_sample", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_abi_version_is_refused_and_the_file_closed()
    {
        _device.AbiVersion = 9;
        GuestMemoryException error = AttachFails();
        Assert.Equal(GuestMemoryError.ModuleIncompatible, error.Kind);
        Assert.Contains("ABI version 9, but this agent needs ABI version 1", error.Message, StringComparison.Ordinal);
        Assert.True(_device.IsDisposed);
        Assert.DoesNotContain(_device.Calls, call => call.Request == KvmEptSampleAbi.CmdInit);
    }

    [Fact]
    public void A_module_of_the_original_project_is_refused()
    {
        _device.Fail(KvmEptSampleAbi.CmdGetInfo, -Errno.EINVAL);
        Assert.Equal(GuestMemoryError.ModuleIncompatible, AttachFails().Kind);
    }

    // The agent has CAP_DAC_READ_SEARCH and not CAP_DAC_OVERRIDE: root's file with mode 0600 opens to it to be read, no more.
    [Fact]
    public void The_modules_file_is_opened_to_be_read_only()
    {
        string path = System.IO.Path.GetTempFileName();
        try
        {
            using SamplerDevice? device = SamplerDevice.Open(path, out int errno);
            Assert.True(device is not null, $"errno {errno}");
            string descriptor = Directory.GetFiles("/proc/self/fd").Single(
                fd => new FileInfo(fd).LinkTarget == path).Replace("/fd/", "/fdinfo/", StringComparison.Ordinal);
            string flags = File.ReadLines(descriptor).Single(l => l.StartsWith("flags:", StringComparison.Ordinal));
            Assert.EndsWith("0", flags, StringComparison.Ordinal); // O_RDONLY, in octal
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData(Errno.ESRCH, GuestMemoryError.ProcessGone, "process 42 has ended")]
    [InlineData(Errno.EPERM, GuestMemoryError.NoPermission, "CAP_SYS_PTRACE")]
    [InlineData(Errno.EBUSY, GuestMemoryError.AlreadySampled, "another process")]
    [InlineData(Errno.ENXIO, GuestMemoryError.NotAGuest, "process 42 runs no KVM guest")]
    [InlineData(Errno.EOPNOTSUPP, GuestMemoryError.Unsupported, "second-level page tables")]
    [InlineData(5, GuestMemoryError.Failed, "errno 5")]
    public void Refusals_to_attach_have_a_kind_and_words(int errno, GuestMemoryError kind, string words)
    {
        _device.Fail(KvmEptSampleAbi.CmdInit, -errno);
        GuestMemoryException error = AttachFails();
        Assert.Equal(kind, error.Kind);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
        Assert.True(_device.IsDisposed);
    }

    [Fact]
    public void Attaching_passes_the_pid_by_value_and_repeats_interrupted_calls()
    {
        _device.Fail(KvmEptSampleAbi.CmdInit, -Errno.EINTR, -Errno.EINTR);
        using KvmSampler sampler = Attach();
        Assert.Equal(3, _device.Calls.Count(call => call == (1200u, 42)));
    }

    [Fact]
    public void Information_is_passed_on()
    {
        using KvmSampler sampler = Attach();
        SamplerInfo info = sampler.GetInfo();
        Assert.Equal(SamplerFeatures.AccessedBits | SamplerFeatures.GuestAttached, info.Features);
        Assert.Equal(GuestPaging.Npt, info.Paging);
        Assert.Equal(2, info.Vcpus);
        Assert.Equal(7ul, info.Generation);
        Assert.Equal(TimeSpan.FromMilliseconds(1.5), info.HarvestTime);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(509)]
    public void All_memslots_are_read_however_many(int count)
    {
        for (int i = 0; i < count; i++)
            _device.Memslots.Add(new Memslot((ulong)i << 21, 0x1000_0000ul + ((ulong)i << 21), 512));
        using KvmSampler sampler = Attach();
        Assert.Equal(_device.Memslots, sampler.GetMemslots());
    }

    [Fact]
    public void A_harvest_fills_its_own_part_of_the_buffers_over_interruptions()
    {
        GuestLayout layout = GuestLayout.FromMemslots(
            [new Memslot(0, 0x1000_0000, 1024), new Memslot(1ul << 32, 0x2000_0000, 2048)]);
        var buffers = new HarvestBuffers(layout);
        _device.AccessedGfns.UnionWith([5, (1 << 20) + 3, (1 << 20) + 2047]);
        _device.InterruptAfter = 512;
        using KvmSampler sampler = Attach();
        _device.Fail(KvmEptSampleAbi.CmdHarvest, -Errno.EINTR);
        HarvestResult low = sampler.Harvest(layout.GfnRanges[0], buffers, HarvestOptions.Clear);
        HarvestResult high = sampler.Harvest(layout.GfnRanges[1], buffers, HarvestOptions.Clear);
        Assert.Equal((1, 2), (low.Accessed, high.Accessed));
        Assert.Equal(7ul, high.Generation);
        Assert.Equal([5, 1024 + 3, 1024 + 2047], SetBits(buffers.Accessed));
        Assert.All(buffers.Sizes.ToArray(), size => Assert.Equal(MappingSize.Size4K, size));
        Assert.Empty(_device.AccessedGfns);
    }

    [Fact]
    public void A_harvest_beyond_the_buffers_is_refused()
    {
        var buffers = new HarvestBuffers(GuestLayout.FromMemslots([new Memslot(0, 0x1000_0000, 512)]));
        using KvmSampler sampler = Attach();
        var error = Assert.Throws<ArgumentException>(
            () => sampler.Harvest(new GfnRange(0, 0, 1024), buffers, HarvestOptions.None));
        Assert.Contains("512 pages", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => sampler.Harvest(new GfnRange(0, 0, 100), buffers, HarvestOptions.None));
    }

    [Fact]
    public void A_guest_that_ended_is_told_apart()
    {
        using KvmSampler sampler = Attach();
        _device.Fail(KvmEptSampleAbi.CmdGetMemslots, -Errno.ESRCH);
        Assert.Equal(GuestMemoryError.ProcessGone, Assert.Throws<GuestMemoryException>(() => sampler.GetMemslots()).Kind);
    }

    [Fact]
    public void Fault_sampling_sets_kinds_before_the_rate_and_zero_stops_it()
    {
        using KvmSampler sampler = Attach();
        _device.Calls.Clear();
        sampler.SampleFaults(AccessKinds.Read | AccessKinds.Write, 250);
        sampler.SampleFaults(AccessKinds.None, 0);
        Assert.Equal([(1201u, 3), (1202u, 250), (1202u, 0)], _device.Calls);
    }

    [Fact]
    public void Samples_are_frame_and_kinds()
    {
        const ulong lastGfn = (1ul << 61) - 1;
        _device.Samples.Enqueue((2ul << 61) | lastGfn);
        _device.Samples.Enqueue((1ul << 61) | 77);
        using KvmSampler sampler = Attach();
        var samples = new AccessSample[4];
        Assert.Equal(2, sampler.ReadSamples(samples));
        Assert.Equal((lastGfn, AccessKinds.Write), (samples[0].Gfn, samples[0].Kinds));
        Assert.Equal((77ul, AccessKinds.Read), (samples[1].Gfn, samples[1].Kinds));
        Assert.Equal(0, sampler.ReadSamples(samples));
    }

    [Fact]
    public void Attaching_asks_for_the_records_that_hold_any_frame_number()
    {
        using KvmSampler sampler = Attach();
        Assert.Equal((0xB703u, 8), _device.Calls[^1]);
        _device.Fail(KvmEptSampleAbi.CmdSetRecord, -Errno.EINVAL);
        Assert.Equal(GuestMemoryError.Failed, AttachFails().Kind);
    }

    [Fact]
    public void Waiting_for_samples_ends_with_the_first_or_with_the_time()
    {
        using KvmSampler sampler = Attach();
        Assert.False(sampler.WaitForSamples(TimeSpan.FromMilliseconds(250)));
        _device.Samples.Enqueue(1);
        Assert.True(sampler.WaitForSamples(TimeSpan.FromDays(1000)));
        Assert.Equal([250, int.MaxValue], _device.Polls);
    }

    [Theory]
    [InlineData(HarvestDetails.None, false, false)]
    [InlineData(HarvestDetails.Dirty, true, false)]
    [InlineData(HarvestDetails.Present, false, true)]
    [InlineData(HarvestDetails.Dirty | HarvestDetails.Present, true, true)]
    public void Bitmaps_that_nobody_reads_are_not_asked_for(HarvestDetails details, bool dirty, bool present)
    {
        GuestLayout layout = GuestLayout.FromMemslots([new Memslot(0, 0x1000_0000, 1024)]);
        var buffers = new HarvestBuffers(layout, details);
        Assert.Equal((dirty ? 16 : 0, present ? 16 : 0), (buffers.Dirty.Length, buffers.Present.Length));
        using KvmSampler sampler = Attach();
        sampler.Harvest(layout.GfnRanges[0], buffers, HarvestOptions.Clear);
        Assert.Equal((dirty, present), _device.LastHarvest);
    }

    [Theory]
    [InlineData(0b010000u, 0b111001u, false, false)] // the harvest's own word counts
    [InlineData(0b011000u, 0b010001u, true, false)]
    [InlineData(0b110000u, 0b010001u, false, true)]
    [InlineData(0b1_0011_0000u, 0b110001u, false, false)] // what they touch is seen
    [InlineData(0b1_0001_0000u, 0b110001u, false, false)]
    [InlineData(0u, 0b011001u, true, false)] // a module that says nothing is asked
    [InlineData(0u, 0b110001u, false, true)]
    [InlineData(0u, 0b1_0011_0001u, false, false)]
    [InlineData(0u, 0b010001u, false, false)]
    public void A_harvest_tells_whether_writes_are_logged_and_whether_the_guest_runs_guests_unseen(
        uint state, uint flags, bool logged, bool unseen)
    {
        GuestLayout layout = GuestLayout.FromMemslots([new Memslot(0, 0x1000_0000, 512)]);
        _device.HarvestState = state;
        _device.InfoFlags = flags;
        using KvmSampler sampler = Attach();
        HarvestResult result = sampler.Harvest(layout.GfnRanges[0], new HarvestBuffers(layout), HarvestOptions.Clear);
        Assert.Equal((logged, unseen), (result.IsDirtyLogged, result.RunsUnseenGuests));
    }

    private static List<int> SetBits(ReadOnlySpan<ulong> bitmap)
    {
        var bits = new List<int>();
        for (int i = 0; i < bitmap.Length * 64; i++)
        {
            if ((bitmap[i / 64] & (1UL << (i % 64))) != 0)
                bits.Add(i);
        }

        return bits;
    }

    private KvmSampler Attach() => KvmSampler.Attach(_device, Path, 42);

    private GuestMemoryException AttachFails() => Assert.Throws<GuestMemoryException>(Attach);
}
