// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using VirtTier.Testbed;

namespace VirtTier.Bench.Peers;

/// <summary>
/// The same guests, one after the other, under DAMON, the kernel's own NUMA balancing in its tiering mode, and VirtTier, in an
/// emulated host with a kernel that has all of them: how much of what a guest uses is in DRAM, by the kernel's word and the
/// guest's own, and what that took. It can be run in parts: rows are kept in <c>out/peers.json</c>, and each run prints all.
/// </summary>
internal static class PeersBench
{
    private const string KernelSeries = "7.3";
    private const string Debian = "trixie-backports";
    private const string VirtTier = "virttier";
    private const string Fine = "damon-fine";
    private const int PagesInMebibyte = 256;
    private const int Mebibytes = 256;
    private const int BudgetMebibytes = Mebibytes / 4;

    // Of the budget: what is free of node 0 is held to it once in half a second, and to a MiB.
    private const double MostDram = 1.05;

    // Of DAMON's: what is asked for.
    private const double CpuShare = 1 / 30.0;

    // The upper part of the memory, so that no manager gets it by beginning with the first.
    private const int HotStart = 16_000;

    // Small nodes: DAMON's regions are fewer than pages, and so say more of a guest that is most of the host.
    private const string Node0 = "1024M";
    private const string Node1 = "768M";

    private static readonly string[] s_managers = ["none", "numab", "damon", Fine, VirtTier];

    private static readonly Guest[] s_guests =
    [
        new("scattered, 4 KiB", Payload("scattered"), false, 0, PayloadGuest.ShiftCommand),
        new("scattered, 2 MiB", new PayloadGuest
        {
            Name = "blocks", MemoryMebibytes = Mebibytes, HotPages = 16, StrideFrames = 3 * 512, HotStartFrame = HotStart,
        }, true, 0, PayloadGuest.ShiftCommand),
        new("shifting", Payload("shifting"), false, 25, PayloadGuest.ShiftCommand),
        new("scan", Payload("scan"), false, 6, PayloadGuest.OnceCommand),
    ];

    /// <summary>Runs it.</summary>
    /// <param name="parts">Which of the managers are run now, and with which of the guests, by name; the other rows are those of
    /// the last run of each. All managers if none is named, likewise all guests; with no row of an earlier run if nothing is.
    /// </param>
    /// <param name="seconds">How long each manages each guest, in the host's time.</param>
    /// <returns>0 if every bar was passed, 2 for a part that is none, else 1.</returns>
    /// <remarks>The environment's <c>DEBS</c> may name a folder with what <c>bench/peers-packages</c> has built.</remarks>
    public static async Task<int> RunAsync(string[] parts, int seconds)
    {
        string[] names = [.. s_managers, .. s_guests.Select(guest => guest.Payload.Name)];
        if (parts.Except(names).FirstOrDefault() is { } unknown)
        {
            Console.Error.WriteLine($"peers: '{unknown}' is none of {string.Join(", ", names)}");
            return 2;
        }
        string[] managers = parts.Any(s_managers.Contains) ? [.. s_managers.Where(parts.Contains)] : s_managers;
        Guest[] guests = [.. s_guests.Where(guest => parts.Contains(guest.Payload.Name))];
        if (guests.Length == 0)
            guests = s_guests;
        Environment.SetEnvironmentVariable("TESTBED_NODE0", Node0);
        Environment.SetEnvironmentVariable("TESTBED_NODE1", Node1);
        EmulatedHost host = EmulatedHost.Named("peers", debian: Debian);
        string kept = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(host.Script)!, "../out/peers.json"));
        List<Row> rows = parts.Length > 0 && File.Exists(kept)
            ? JsonSerializer.Deserialize<List<Row>>(await File.ReadAllTextAsync(kept)) ?? []
            : [];
        await host.DownAsync();
        string? given = Environment.GetEnvironmentVariable("DEBS");
        string packages = string.IsNullOrEmpty(given) ? Directory.CreateTempSubdirectory("peers").FullName : given;
        try
        {
            if (string.IsNullOrEmpty(given))
            {
                Say($"building the agent's package and the module for {KernelSeries}");
                await BuildAsync(host, packages);
            }
            Say("booting an emulated host");
            await host.UpAsync(Say);
            string share = await host.ShareAsync();
            Directory.CreateDirectory(Path.Combine(share, "packages"));
            foreach (string file in Directory.GetFiles(packages))
                File.Copy(file, Path.Combine(share, "packages", Path.GetFileName(file)));
            File.Copy(HostScript(), Path.Combine(share, "host.sh"));
            await RequireKernelAsync(host, packages);
            (await host.RunAsync($$"""
                set -e
                dpkg --install /share/packages/virttier_*.deb > /dev/null
                systemctl stop virttier
                insmod /share/packages/kvm_ept_sample.ko
                # An emulated host works some ten times longer to move a page.
                echo 'migration: { domain_cpu: 50% }' > /etc/virttier/virttier.yaml
                """)).RequireSuccess();
            foreach (Guest guest in guests)
            {
                // A guest goes from one manager to the next, unless one may have split its pages.
                long sent = -1;
                foreach (string manager in managers)
                {
                    if (sent < 0)
                    {
                        (await host.RunAsync($"sh /share/host.sh room {BudgetMebibytes}")).RequireSuccess();
                        await host.StartAsync(guest.Payload, $"""dram="{BudgetMebibytes}MiB" """, guest.HugePages);
                        sent = 0;
                    }
                    (Row row, sent) = await MeasureAsync(host, share, guest, manager, seconds, sent);
                    if (guest.HugePages)
                    {
                        await EndAsync(host, guest);
                        sent = -1;
                    }
                    rows.RemoveAll(old => old.Guest == row.Guest && old.Manager == manager);
                    rows.Add(row);
                    Say(row.ToString());
                    Directory.CreateDirectory(Path.GetDirectoryName(kept)!);
                    await File.WriteAllTextAsync(kept, JsonSerializer.Serialize(rows));
                }
                if (sent >= 0)
                    await EndAsync(host, guest);
            }
            return Print([.. rows.OrderBy(row => Array.FindIndex(s_guests, guest => guest.Title == row.Guest))
                .ThenBy(row => Array.IndexOf(s_managers, row.Manager))]);
        }
        finally
        {
            await host.DownAsync();
            if (string.IsNullOrEmpty(given))
                Directory.Delete(packages, recursive: true);
        }
    }

    private static async Task EndAsync(EmulatedHost host, Guest guest)
    {
        string name = guest.Payload.Name;
        (await host.RunAsync($"virsh --quiet destroy {name}; virsh --quiet undefine {name}; rm -f {guest.Payload.LogPath}"))
            .RequireSuccess();
    }

    private static async Task<(Row Row, long Sent)> MeasureAsync(
        EmulatedHost host, string share, Guest guest, string manager, int seconds, long sentBefore)
    {
        string name = guest.Payload.Name;
        string folder = $"readings/{name}-{manager}";
        string figures = (await host.RunAsync($"""
            set -e
            sh /share/host.sh settle {name} {BudgetMebibytes}
            sh /share/host.sh start {manager} {name} {BudgetMebibytes}
            sh /share/host.sh watch {name} {BudgetMebibytes} {seconds} /share/{folder} {guest.EverySeconds} {guest.Command} \
                {sentBefore}
            sh /share/host.sh stop {manager}
            """)).RequireSuccess();
        PayloadLog log = await host.LogOfAsync(guest.Payload);
        foreach (string line in figures.Split('\n').Where(line => line.StartsWith('#')))
            Say(line);
        Dictionary<string, long> of = figures.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' '))
            .Where(words => words.Length == 2).ToDictionary(
                words => words[0], words => long.Parse(words[1], CultureInfo.InvariantCulture));
        List<(double Hot, double Dram)> readings = [];
        for (int n = 1; n <= of["readings"]; n++)
        {
            string file = Path.Combine(share, folder, n.ToString(CultureInfo.InvariantCulture));
            byte[] nodes = await File.ReadAllBytesAsync(file + ".pages");
            int sent = int.Parse(await File.ReadAllTextAsync(file + ".sent"), CultureInfo.InvariantCulture);
            IReadOnlySet<int> hot = guest.Payload.HotFrames(guest.Command == PayloadGuest.ShiftCommand ? sent : 0);
            readings.Add((hot.Count(frame => nodes[frame] == 0) / (double)hot.Count,
                nodes.Count(node => node == 0) / (double)(BudgetMebibytes * PagesInMebibyte)));
        }
        // What a manager makes of memory that it has just met is one thing, what it keeps up is another: the second half. A
        // guest that shifts or scans is judged by all that it has gone through then.
        (double Hot, double Dram)[] late = [.. readings.Skip(readings.Count / 2)];
        double elapsed = of["elapsed"];
        Row row = new(DateTime.UtcNow, guest.Title, manager,
            readings.Average(r => r.Hot), late.Average(r => r.Hot), late.Average(r => r.Dram),
            (of["threads"] + of["agent"]) / elapsed, of["late"] / (double)of["half"], of["guest"] / elapsed, of["moved"],
            log.DamagedPages);
        return (row, of["sent"]);
    }

    private static int Print(IReadOnlyList<Row> rows)
    {
        Console.WriteLine();
        Console.WriteLine(Row.Heading);
        foreach (Row row in rows)
            Console.WriteLine(row);
        BarTable bars = new();
        foreach (IGrouping<string, Row> guest in rows.GroupBy(row => row.Guest))
        {
            if (guest.SingleOrDefault(row => row.Manager == VirtTier) is not { } ours || guest.Count() == 1)
                continue;
            // Who has more of the hot pages in DRAM with more DRAM shows nothing; who has fewer all the same does.
            Row[] beyond = [.. guest.Where(row => row.Dram > MostDram && row.Late > ours.Late)];
            foreach (Row row in beyond)
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"# {guest.Key}: {row.Manager} had {row.Dram:F2} times the budget: its share is compared with nobody's"));
            Row[] peers = [.. guest.Where(row => row != ours).Except(beyond)];
            bars.AtMost($"{guest.Key}: DRAM of the budget", ours.Dram, MostDram);
            if (peers.Length > 0)
            {
                // A hundredth is noise: pages in flight at the moment of a reading.
                bars.AtLeast($"{guest.Key}: share of hot pages in DRAM, against the best of the others",
                    ours.Late - peers.Max(row => row.Late), -0.01);
            }
            foreach (Row damon in guest.Where(row => row.Manager.StartsWith("damon", StringComparison.Ordinal)))
            {
                string name = $"{guest.Key}: CPU, of that of {damon.Manager}";
                double share = ours.LateCpu / damon.LateCpu;
                // Reached where DAMON looks as finely and the guest does the same all the time: docs/validation/tiering.md says
                // why no more than that.
                if (damon.Manager == Fine && s_guests.Single(known => known.Title == guest.Key).EverySeconds == 0)
                    bars.AtMost(name, share, CpuShare);
                else
                    bars.GoalAtMost(name, share, CpuShare);
            }
        }
        bars.AtMost("damaged pages", rows.Sum(row => row.Damaged), 0);
        return bars.Print();
    }

    private static PayloadGuest Payload(string name) => new()
    {
        Name = name, MemoryMebibytes = Mebibytes, HotPages = BudgetMebibytes * PagesInMebibyte / 2, HotStartFrame = HotStart,
    };

    private static async Task BuildAsync(EmulatedHost host, string folder)
    {
        Directory.CreateDirectory(folder);
        string script = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(host.Script)!, "../bench/peers-packages"));
        using Process build = Process.Start(script, [KernelSeries, folder]);
        await build.WaitForExitAsync();
        if (build.ExitCode != 0)
            throw new TestbedException($"{script} failed with exit code {build.ExitCode}");
    }

    private static async Task RequireKernelAsync(EmulatedHost host, string folder)
    {
        string built = (await File.ReadAllTextAsync(Path.Combine(folder, "release"))).Trim();
        string runs = (await host.RunAsync("uname -r")).RequireSuccess().Trim();
        if (built != runs)
            throw new TestbedException($"the host runs {runs}, and the headers at hand are of {built}: remove the older of "
                + "the two from the cache (testbed/testbed --help says where it is)");
    }

    private static void Say(string stage) => Console.WriteLine($"{DateTime.UtcNow:HH:mm:ss} {stage}");

    private static string HostScript([CallerFilePath] string here = "") =>
        Path.Combine(Path.GetDirectoryName(here)!, "host.sh");

    private sealed record Guest(string Title, PayloadGuest Payload, bool HugePages, int EverySeconds, char Command);

    private sealed record Row(
        DateTime At, string Guest, string Manager, double Mean, double Late, double Dram, double Cpu, double LateCpu,
        double InGuest, long Moved, int Damaged)
    {
        public static string Heading =>
            "guest             manager     hot in DRAM: all, 2nd half   DRAM/budget   CPU: all, 2nd half   faults in guest   "
            + "moved   when (UTC)";

        public override string ToString() => string.Create(CultureInfo.InvariantCulture,
            $"{Guest,-17} {Manager,-11} {Mean,15:F3} {Late,14:F3} {Dram,13:F2} {Cpu,10:P2} {LateCpu,10:P2} {InGuest,15:P1}"
            + $" {Moved,8}   {At:MM-dd HH:mm}");
    }
}
