// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.Json;

namespace VirtTier.Testbed.Tests;

[Trait("Ring", "emulated")]
[Collection(HostGroup.Name)]
public sealed class GuestTests(HostFixture fixture)
{
    private const int PagesBelowOneMebibyte = 256;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_payload_guest_lives_beats_and_shifts_under_virsh()
    {
        PayloadGuest guest = new() { Name = "shifter", MemoryMebibytes = 64, HotPages = 1000 };
        await fixture.Host.StartAsync(guest, "dram=\"16MiB\"", cancel: Cancellation);

        Assert.Contains("type='kvm'", await fixture.RunAsync("virsh dumpxml shifter"), StringComparison.Ordinal);
        Assert.Contains("dram=\"16MiB\"",
            (await fixture.RunAsync("virsh metadata shifter --uri urn:virttier:tiering:1")).Replace('\'', '"'),
            StringComparison.Ordinal);
        await BeatsAsync(guest, more: 2);
        await fixture.Host.ShiftAsync(guest, Cancellation);
        await HostFixture.EventuallyAsync(fixture.Host, async () => (await LogAsync(guest)).Shifts == 1, "the shift");
        await BeatsAsync(guest, more: 2);

        PayloadLog log = await LogAsync(guest);
        Assert.Equal((1, 1, 0), (log.Starts, log.Shifts, log.DamagedPages));
        await DestroyAsync(guest.Name);
    }

    [Fact]
    public async Task Machined_knows_the_guests_leader()
    {
        PayloadGuest guest = new() { Name = "led", MemoryMebibytes = 16, HotPages = 100 };
        await fixture.Host.StartAsync(guest, cancel: Cancellation);

        string pid = await PidAsync(guest.Name);
        string machine = (await fixture.RunAsync("machinectl list --no-legend | awk '/-led / { print $1 }'")).Trim();
        Assert.Equal(pid, (await fixture.RunAsync($"machinectl show --property Leader --value {machine}")).Trim());
        await DestroyAsync(guest.Name);
    }

    [Theory]
    [InlineData(GuestMemory.Anonymous)]
    [InlineData(GuestMemory.SharedMemfd)]
    public async Task Residency_sees_every_page_and_where_it_went(GuestMemory memory)
    {
        PayloadGuest guest = new() { Name = "resident", MemoryMebibytes = 64, HotPages = 100, Memory = memory };
        await fixture.Host.StartAsync(guest, cancel: Cancellation);
        string pid = await PidAsync(guest.Name);

        // Born on node 0; of the low memory the payload touches only its own page.
        AssertResidency(await fixture.RunAsync($"residency {pid}"), guest.Frames, "0", guest.Frames - PagesBelowOneMebibyte + 1);

        await fixture.RunAsync($"virsh suspend resident && migratepages {pid} 0 1");
        AssertResidency(await fixture.RunAsync($"residency {pid}"), guest.Frames, "1", guest.Frames - PagesBelowOneMebibyte + 1);
        string watched = (await fixture.RunAsync($"timeout 1 residency --watch 100 {pid} || true")).Split('\n')[0];
        Assert.Contains($"\"nodes\":{{\"1\":{guest.Frames - PagesBelowOneMebibyte + 1}}}", watched, StringComparison.Ordinal);

        // One signed byte a page in gfn order.
        string nodes = await fixture.RunAsync($"residency {pid} --pages /run/pages > /dev/null && od -An -v -td1 -w1 /run/pages");
        int[] node =
            [.. nodes.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
        Assert.Equal(guest.Frames, node.Length);
        Assert.Equal([-1, 1, -1], node[..3]);
        Assert.All(node[PagesBelowOneMebibyte..], n => Assert.Equal(1, n));

        await fixture.RunAsync("virsh resume resident");
        await BeatsAsync(guest, more: 2);
        Assert.Equal(0, (await LogAsync(guest)).DamagedPages);
        await DestroyAsync(guest.Name);
    }

    [Fact]
    public async Task Only_a_guest_started_with_huge_pages_has_them()
    {
        PayloadGuest small = new() { Name = "small", MemoryMebibytes = 32, HotPages = 100 };
        PayloadGuest huge = new() { Name = "huge", MemoryMebibytes = 32, HotPages = 100 };
        await fixture.Host.StartAsync(small, cancel: Cancellation);
        await fixture.Host.StartAsync(huge, hugePages: true, cancel: Cancellation);

        Assert.Equal(0, await HugeKibibytesAsync("small"));
        // All but the first 2 MiB, which hold the PC's low memory; QEMU's own heap may add some.
        Assert.True(await HugeKibibytesAsync("huge") >= (32 - 2) * 1024);
        await DestroyAsync("small");
        await DestroyAsync("huge");
    }

    [Fact]
    public async Task A_linux_guest_tells_exactly_its_hot_frames()
    {
        LinuxGuest guest = new() { Name = "linux" };
        await fixture.Host.StartAsync(guest, cancel: Cancellation);

        LinuxGuestLog log = await fixture.Host.LogOfAsync(guest, Cancellation);
        Assert.Equal(guest.HotMebibytes * 256, log.HotFrames!.Count);
        Assert.All(log.HotFrames, frame => Assert.InRange(frame, 1, guest.MemoryMebibytes * 256 - 1));
        long before = log.Passes;
        await HostFixture.EventuallyAsync(
            fixture.Host,
            async () => (await fixture.Host.LogOfAsync(guest, Cancellation)).Passes >= before + 20,
            "two heartbeats of the Linux guest");
        Assert.Equal(0, (await fixture.Host.LogOfAsync(guest, Cancellation)).DamagedPages);
        await DestroyAsync(guest.Name);
    }

    private static void AssertResidency(string json, int pages, string node, int onNode)
    {
        using var document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        Assert.Equal(pages, root.GetProperty("pages").GetInt32());
        JsonProperty only = Assert.Single(root.GetProperty("nodes").EnumerateObject());
        Assert.Equal((node, onNode), (only.Name, only.Value.GetInt32()));
        Assert.Equal(pages - onNode, root.GetProperty("absent").GetInt32());
    }

    private Task<PayloadLog> LogAsync(PayloadGuest guest) => fixture.Host.LogOfAsync(guest, Cancellation);

    private async Task BeatsAsync(PayloadGuest guest, int more)
    {
        int before = (await LogAsync(guest)).Heartbeats;
        await HostFixture.EventuallyAsync(
            fixture.Host, async () => (await LogAsync(guest)).Heartbeats >= before + more, $"{more} heartbeats");
    }

    private async Task<string> PidAsync(string guest) => (await fixture.RunAsync($"cat /run/libvirt/qemu/{guest}.pid")).Trim();

    private async Task<int> HugeKibibytesAsync(string guest) =>
        int.Parse(await fixture.RunAsync($"awk '/AnonHugePages/ {{ print $2 }}' /proc/{await PidAsync(guest)}/smaps_rollup"),
            CultureInfo.InvariantCulture);

    private Task<string> DestroyAsync(string guest) =>
        fixture.RunAsync($"virsh --quiet destroy {guest} && virsh --quiet undefine {guest}");
}
