// SPDX-License-Identifier: Apache-2.0
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>One guest of the demo: what it is, what its owner asks for, and so what must come of it.</summary>
internal abstract record DemoGuest(string Name, int MemoryMebibytes, string? Tiering, int BudgetMebibytes)
{
    private const int PagesInMebibyte = 256;

    public int BudgetPages => BudgetMebibytes * PagesInMebibyte;

    /// <summary>Pages that may be on the fast node besides its budget.</summary>
    public int SparePages { get; init; }

    /// <summary>The share of its hot pages that must be in DRAM where there is room for all of them.</summary>
    public double LeastHotShare { get; init; } = 0.99;

    public bool Observed => Tiering?.Contains("observe", StringComparison.Ordinal) ?? false;

    /// <summary>Starts it and returns when all of its memory has been touched.</summary>
    public abstract Task StartAsync(EmulatedHost host, CancellationToken cancel);

    /// <summary>The guest frames that it keeps touching, by its own account.</summary>
    public abstract Task<IReadOnlySet<int>> HotFramesAsync(EmulatedHost host, CancellationToken cancel);

    /// <summary>Signs of undisturbed life, by its own account: a count that grows while it runs,
    /// and pages found damaged.</summary>
    public abstract Task<(long Heartbeats, int Starts, int Damaged)> LifeAsync(EmulatedHost host, CancellationToken cancel);
}

/// <summary>A bare-metal payload with exactly known accesses.</summary>
internal sealed record PayloadDemoGuest(PayloadGuest Payload, string? Tiering, int BudgetMebibytes, bool HugePages = false)
    : DemoGuest(Payload.Name, Payload.MemoryMebibytes, Tiering, BudgetMebibytes)
{
    public override Task StartAsync(EmulatedHost host, CancellationToken cancel) =>
        host.StartAsync(Payload, Tiering, HugePages, cancel);

    public override async Task<IReadOnlySet<int>> HotFramesAsync(EmulatedHost host, CancellationToken cancel) =>
        Payload.HotFrames((await host.LogOfAsync(Payload, cancel)).Shifts);

    public override async Task<(long Heartbeats, int Starts, int Damaged)> LifeAsync(EmulatedHost host, CancellationToken cancel)
    {
        PayloadLog log = await host.LogOfAsync(Payload, cancel);
        return (log.Heartbeats, log.Starts, log.DamagedPages);
    }
}

/// <summary>Debian's kernel with a program that has a working set.</summary>
internal sealed record LinuxDemoGuest(LinuxGuest Linux, string? Tiering, int BudgetMebibytes)
    : DemoGuest(Linux.Name, Linux.MemoryMebibytes, Tiering, BudgetMebibytes)
{
    public override Task StartAsync(EmulatedHost host, CancellationToken cancel) => host.StartAsync(Linux, Tiering, cancel);

    public override async Task<IReadOnlySet<int>> HotFramesAsync(EmulatedHost host, CancellationToken cancel) =>
        (await host.LogOfAsync(Linux, cancel)).HotFrames ?? throw new TestbedException($"{Name} has not told its hot frames");

    public override async Task<(long Heartbeats, int Starts, int Damaged)> LifeAsync(EmulatedHost host, CancellationToken cancel)
    {
        LinuxGuestLog log = await host.LogOfAsync(Linux, cancel);
        return (log.Passes, 1, log.DamagedPages);
    }
}

/// <summary>The guests of the demo: every kind of budget, of mode and of memory once.</summary>
internal static class DemoGuests
{
    /// <summary>What the host's configuration gives to domains without metadata.</summary>
    public const string DefaultBudget = "25%";

    public static PayloadDemoGuest Size { get; } = new(
        new PayloadGuest { Name = "size", MemoryMebibytes = 160, HotPages = 8192, StrideFrames = 2 }, "dram=\"48MiB\"", 48);

    /// <summary>Its hot set (64 MiB) is larger than its budget; it writes half of it.</summary>
    public static PayloadDemoGuest Percent { get; } = new(
        new PayloadGuest { Name = "percent", MemoryMebibytes = 160, HotPages = 16384, StrideFrames = 1, WrittenPages = 8192 },
        "dram=\"20%\"", 32);

    public static PayloadDemoGuest Plain { get; } = new(
        new PayloadGuest { Name = "plain", MemoryMebibytes = 128, HotPages = 4096, StrideFrames = 3 }, null, 32);

    public static PayloadDemoGuest Observe { get; } = new(
        new PayloadGuest { Name = "observe", MemoryMebibytes = 96, HotPages = 4096, StrideFrames = 2 },
        "dram=\"24MiB\" mode=\"observe\"", 24);

    public static PayloadDemoGuest Shared { get; } = new(
        new PayloadGuest
        {
            Name = "shared",
            MemoryMebibytes = 128,
            HotPages = 6144,
            StrideFrames = 2,
            Memory = GuestMemory.SharedMemfd,
        }, "dram=\"40MiB\"", 40);

    public static LinuxDemoGuest Linux { get; } = new(new LinuxGuest { Name = "linux" }, "dram=\"96MiB\"", 96);

    /// <summary>Its hot set is 32 whole pages of 2 MiB, and one page in each of 32 more,
    /// which accessed bits cannot tell from these.</summary>
    public static PayloadDemoGuest Huge { get; } = new(
        new PayloadGuest
        {
            Name = "huge", MemoryMebibytes = 256, HotPages = 16384, StrideFrames = 1, HotStartFrame = 0x4000,
            StepPages = 6151, LonePages = 32,
            LoneStartFrame = 0xc000 + 77,
        },
        "dram=\"96MiB\"", 96, HugePages: true);

    /// <summary>
    /// Its hot set is one small page in each of its 2 MiB pages, of which a part only has room in its budget. The first of them
    /// has a hole (below 1 MiB), so KVM maps it by small entries; once it is split, the hole's pages stay where they are.
    /// </summary>
    public static PayloadDemoGuest Strewn { get; } = new(
        PayloadGuest.Strewn("strewn", blocks: 128), "dram=\"32MiB\" split=\"100%\"", 32, HugePages: true)
    {
        SparePages = PayloadGuest.HoleFrames.Count, LeastHotShare = 0.95,
    };

    /// <summary>All, in the order of their start: guests of 4 KiB pages before those of 2 MiB pages.</summary>
    public static IReadOnlyList<DemoGuest> All { get; } = [Size, Percent, Plain, Observe, Shared, Linux, Huge, Strewn];
}
