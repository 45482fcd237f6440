// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Status;
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>
/// Guests in 2 MiB pages of each of which one small page is hot: whether these come to be in DRAM, although there is room for an
/// eighth of their blocks; and whether the blocks are whole again once all of them is in use. In anonymous memory and in a memfd.
/// </summary>
internal sealed class SplitsScenario(DemoHost host, IDemoView view) : HostScenario(host, view)
{
    private const int Blocks = 512;
    private const int BlockFrames = 512;
    private const int MostRounds = 20;
    private const double JoinedShare = 0.9;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(6);

    private static readonly BudgetedGuest[] s_all =
        [Strewn("strewn", GuestMemory.Anonymous), Strewn("strewn-memfd", GuestMemory.AlignedMemfd)];

    /// <summary>The names of all checks, in their order.</summary>
    public static IReadOnlyList<string> CheckNames { get; } =
        [.. s_all.SelectMany(guest => (string[])[HotIsInDram(guest), BudgetIsKept(guest), IsJoined(guest), Undisturbed(guest)])];

    protected override IReadOnlyList<string> Names => CheckNames;

    protected override async Task PlayAsync(CancellationToken cancel)
    {
        Step("virttier.yaml: migration: { split: 100% }, and systemctl reload virttier");
        await Host.RunAsync(
            "sed -i 's/^migration: {/&split: 100%, /' /etc/virttier/virttier.yaml && systemctl reload virttier", cancel);
        foreach (BudgetedGuest guest in s_all)
        {
            await StartAsync(guest, cancel);
            await SplitAsync(guest, cancel);
            await JoinAsync(guest, cancel);
            await ReportUndisturbedAsync(Undisturbed(guest), [guest], cancel);
            await Host.RunAsync($"virsh --quiet destroy {guest.Name}", cancel);
        }
    }

    private async Task SplitAsync(BudgetedGuest guest, CancellationToken cancel)
    {
        Step($"{guest.Name} touches one page in each of its {Blocks} blocks");
        (long before, IReadOnlyList<DemoHost.Reading> readings) =
            await Host.WatchGuestAsync(guest.Name, "", MostRounds + 1, s_limit, cancel);
        Placement[] placements = [.. readings.Select(r => Placement.Of(r.Nodes, guest.Hot))];
        // All memory of a new guest is in DRAM: it counts from when that is within the budget.
        (bool soon, string course) = ShiftWatch.Judge(
            before, [.. placements.Zip(readings, (p, r) => (p.Dram <= guest.BudgetPages ? p.HotShare : 0, r.Status.Rounds))],
            MostRounds, RightShare);
        Report(HotIsInDram(guest), soon, $"{course}; {readings[0].WholeBlocks} blocks were whole, {Told(readings)}");
        Report(BudgetIsKept(guest), placements[^1].Dram <= guest.BudgetPages && placements[^1].HotShare >= RightShare,
            placements[^1].ToString());
    }

    private async Task JoinAsync(BudgetedGuest guest, CancellationToken cancel)
    {
        Step($"{guest.Name} becomes evenly hot");
        (long before, IReadOnlyList<DemoHost.Reading> readings) = await Host.WatchGuestAsync(
            guest.Name, DemoHost.Tell(guest.Payload, PayloadGuest.EvenCommand, answer: 'e'), MostRounds + 1, s_limit, cancel);
        (bool soon, string course) = ShiftWatch.Judge(
            before, [.. readings.Select(r => (r.WholeBlocks / (double)Blocks, r.Status.Rounds))], MostRounds, JoinedShare);
        Report(IsJoined(guest), soon, $"{course}; {Told(readings)}");
    }

    private static string Told(IReadOnlyList<DemoHost.Reading> readings)
    {
        DomainStatus last = readings[^1].Status;
        return string.Create(CultureInfo.InvariantCulture,
            $"by the agent {last.Splits} splits, {last.Joins} joins, {last.FaultSamples} samples in {last.Rounds} rounds");
    }

    private static BudgetedGuest Strewn(string name, GuestMemory memory) => new(
        PayloadGuest.Strewn(name, Blocks, memory), Blocks * BlockFrames / BudgetedGuest.PagesInMebibyte / 8, HugePages: true);

    private static string HotIsInDram(BudgetedGuest guest) =>
        $"{guest.Name}: of {Blocks} hot pages in as many blocks .95 are in DRAM within {MostRounds} rounds";

    private static string BudgetIsKept(BudgetedGuest guest) =>
        $"{guest.Name}: no more DRAM than its budget, an eighth, and its hot pages stay there";

    private static string IsJoined(BudgetedGuest guest) =>
        $"{guest.Name}: when it becomes evenly hot, .9 of its blocks are whole again within {MostRounds} rounds";

    private static string Undisturbed(BudgetedGuest guest) => $"{guest.Name}: ran on undisturbed, its memory whole";
}
