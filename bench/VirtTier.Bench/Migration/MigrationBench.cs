// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using VirtTier.Testbed;

namespace VirtTier.Bench.Migration;

/// <summary>
/// Boots an emulated host with two NUMA nodes and a KVM guest, and runs <see cref="InsideHost"/> in it: this machine need not
/// have two nodes.
/// </summary>
internal static class MigrationBench
{
    // Its hot set lies in the lower half; the upper half is written once and then cold.
    private static readonly PayloadGuest s_guest = new()
    {
        Name = "bench",
        MemoryMebibytes = 256,
        HotPages = 4000,
        PassPeriod = TimeSpan.FromMicroseconds(100),
        PassesPerHeartbeat = 5,
    };

    public static async Task<int> RunAsync()
    {
        EmulatedHost host = EmulatedHost.Named("bench");
        Say("booting an emulated host with two NUMA nodes");
        await host.DownAsync();
        try
        {
            await host.UpAsync();
            Say("bringing the bench into it");
            HostProgram program = await HostProgram.InstallAsync(host, "migration");
            await program.CompileAsync(SourceOfMover(), InsideHost.BareMover);
            Say("starting a guest");
            await host.StartAsync(s_guest);
            string pid = (await host.RunAsync($"cat /run/libvirt/qemu/{s_guest.Name}.pid")).RequireSuccess().Trim();
            CommandResult result = await program.RunAsync(
                $"{InsideHost.Verb} {pid} {s_guest.MemoryMebibytes} {s_guest.LogPath}", TimeSpan.FromMinutes(20),
                echo: Console.Out);
            Console.Error.Write(result.Error);
            PayloadLog log = await host.LogOfAsync(s_guest);
            if (log.DamagedPages > 0)
                Console.Error.WriteLine($"the guest found {log.DamagedPages} damaged pages");
            return log.DamagedPages > 0 ? 1 : result.ExitCode;
        }
        finally
        {
            await host.DownAsync();
        }
    }

    // Each stage takes minutes on a busy machine.
    private static void Say(string stage) => Console.WriteLine($"{DateTime.UtcNow:HH:mm:ss} {stage}");

    private static string SourceOfMover([CallerFilePath] string here = "") =>
        Path.Combine(Path.GetDirectoryName(here)!, "bare-mover.c");
}
