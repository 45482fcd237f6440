// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Memory.Layout;

namespace VirtTier.Agent.Tests.Host;

/// <summary>Memory that is plugged into a running guest, and taken out again: a real QEMU,
/// whose own RAM is what is looked at.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class MemoryChangeTests
{
    private const int HarvestsAfterwards = 8;

    [Fact]
    public async Task A_dimm_is_tiered_while_it_is_there_and_nothing_refers_to_it_when_it_is_gone()
    {
        await using PrivateHost host = await PrivateHost.StartAsync("memory");
        using StandInKernel kernel = new();
        await using TieredHost tiered = TieredHost.Of(host, kernel, TimeSpan.FromMilliseconds(100));
        string image = await host.WriteFileAsync("eject.img", BootSector.EjectsMemory);
        await host.CreateAsync(new TestDomain("web1")
        {
            MemoryMiB = 16,
            Metadata = TestDomain.MetadataOf("dram='8MiB'"),
            Extra = """
                <maxMemory slots='4' unit='MiB'>512</maxMemory>
                <memoryBacking><allocation mode='immediate'/></memoryBacking>
                <cpu><numa><cell id='0' cpus='0' memory='16' unit='MiB'/></numa></cpu>
                """,
        }.BootingFrom(image));
        await UntilAsync(tiered, status => status.Rounds > 0);
        int pid = host.ReadPid("web1");
        Memslot own = Assert.Single(StandInKernel.ReadRam(pid));

        string dimm = await host.WriteFileAsync(
            "dimm.xml", "<memory model='dimm'><target><size unit='MiB'>16</size><node>0</node></target></memory>");
        await host.VirshAsync("attach-device", "web1", dimm, "--live");
        Memslot plugged = StandInKernel.ReadRam(pid).Single(slot => slot.Hva != own.Hva);
        Assert.Equal(own.PageCount, plugged.PageCount);
        await Eventually.IsTrue(() => kernel.CountSlow(pid, plugged) > 0,
            () => $"not a page of the DIMM was moved: {tiered.Watched}");
        await UntilAsync(tiered, status => status.MemoryBytes == 32 << 20);

        await host.VirshAsync("detach-device", "web1", dimm, "--live");
        await Eventually.IsTrue(() => StandInKernel.ReadRam(pid).Count == 1, () => "the guest keeps the DIMM");
        await UntilAsync(tiered, status => status.MemoryBytes == 16 << 20);
        int harvests = kernel.Harvests + 2; // one under way may still be of the old layout, and the next one finds the new
        await Eventually.IsTrue(() => kernel.Harvests >= harvests, () => "no more harvests");
        int strays = kernel.Strays;
        await Eventually.IsTrue(() => kernel.Harvests >= harvests + HarvestsAfterwards, () => "no more harvests");
        Assert.Equal(strays, kernel.Strays);
        Assert.Equal(2, tiered.Watched.Log.Lines.Count(line => line.Contains("memory layout changed", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Pages_that_the_balloon_takes_are_tiered_no_more_and_what_is_left_is()
    {
        await using PrivateHost host = await PrivateHost.StartAsync("balloon");
        using StandInKernel kernel = new();
        await using TieredHost tiered = TieredHost.Of(host, kernel, TimeSpan.FromMilliseconds(100));
        await host.CreateAsync(new TestDomain("web1")
        {
            MemoryMiB = 16,
            Metadata = TestDomain.MetadataOf("dram='4MiB'"),
            Extra = "<memoryBacking><allocation mode='immediate'/></memoryBacking>",
        }.BootingFrom(await host.WriteFileAsync("balloon.img", BalloonGuest.Image)));
        await UntilAsync(tiered, status => status.FastBytes + status.SlowBytes == 16 << 20);
        int pid = host.ReadPid("web1");

        await host.VirshAsync("setmem", "web1", "8MiB", "--live");
        await tiered.Watched.UntilAsync("web1", d => d.CurrentMemoryBytes == 8 << 20);
        await UntilAsync(tiered, status => status.FastBytes + status.SlowBytes == 8 << 20);
        await AssertNothingRefersToWhatIsGoneAsync(kernel, pid);

        await host.VirshAsync("setmem", "web1", "16MiB", "--live");
        await tiered.Watched.UntilAsync("web1", d => d.CurrentMemoryBytes == 16 << 20);
    }

    [Fact]
    public async Task What_virtio_mem_gives_and_takes_is_tiered_while_it_is_there()
    {
        await using PrivateHost host = await PrivateHost.StartAsync("virtio-mem");
        using StandInKernel kernel = new();
        await using TieredHost tiered = TieredHost.Of(host, kernel, TimeSpan.FromMilliseconds(100));
        await host.CreateAsync(new TestDomain("web1")
        {
            MemoryMiB = 16,
            Metadata = TestDomain.MetadataOf("dram='4MiB'"),
            Extra = """
                <maxMemory slots='4' unit='MiB'>512</maxMemory>
                <memoryBacking><allocation mode='immediate'/></memoryBacking>
                <cpu><numa><cell id='0' cpus='0' memory='16' unit='MiB'/></numa></cpu>
                """,
        }.BootingFrom(await host.WriteFileAsync("virtio-mem.img", VirtioMemGuest.Image)));
        await UntilAsync(tiered, status => status.FastBytes + status.SlowBytes == 16 << 20);
        int pid = host.ReadPid("web1");
        Memslot own = Assert.Single(StandInKernel.ReadRam(pid));

        await host.VirshAsync("attach-device", "web1", "--live", await host.WriteFileAsync("virtio-mem.xml", """
            <memory model='virtio-mem'>
              <target><size unit='MiB'>32</size><node>0</node><block unit='MiB'>2</block><requested unit='MiB'>16</requested></target>
            </memory>
            """));
        await UntilAsync(tiered, status => status.FastBytes + status.SlowBytes == 32 << 20);
        Memslot plugged = StandInKernel.ReadRam(pid).Single(slot => slot.Hva != own.Hva);
        await Eventually.IsTrue(() => kernel.CountSlow(pid, plugged) > 0, () => $"not a page of it was moved: {tiered}");

        await host.VirshAsync("update-memory-device", "web1", "--requested-size", "4MiB");
        await UntilAsync(tiered, status => status.FastBytes + status.SlowBytes == 20 << 20);
        await AssertNothingRefersToWhatIsGoneAsync(kernel, pid);
    }

    private static async Task AssertNothingRefersToWhatIsGoneAsync(StandInKernel kernel, int pid)
    {
        StandInKernel.GuestWork before = kernel.WorkOn(pid);
        int strays = kernel.Strays;
        await Eventually.IsTrue(() => kernel.WorkOn(pid).Harvests > before.Harvests + HarvestsAfterwards,
            () => "no more harvests");
        Assert.Equal((before.MovesOfAbsent, strays), (kernel.WorkOn(pid).MovesOfAbsent, kernel.Strays));
    }

    private static Task UntilAsync(TieredHost tiered, Func<DomainStatus, bool> condition) => Eventually.IsTrue(
        () => tiered.Reconciler.Status().Domains.SingleOrDefault() is { } status && condition(status),
        tiered.ToString);
}
