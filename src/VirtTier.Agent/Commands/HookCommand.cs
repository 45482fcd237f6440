// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Hook;
using VirtTier.Libvirt.DBus;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier hook install|remove</c>: libvirt's qemu hook on a host without VirtTier's package.</summary>
internal static class HookCommand
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        Command install = new("install", "Install or update the hook, beside the hooks of others");
        install.SetAction((_, cancel) => RunAsync(async () => new HookInstaller("/").Install(await LibvirtVersionAsync(cancel))));
        Command remove = new("remove", "Remove the hook; the hooks of others stay");
        remove.SetAction((_, _) => RunAsync(() => Task.FromResult(new HookInstaller("/").Remove())));
        return new Command("hook", "Manage libvirt's qemu hook, which tells the agent early of VMs") { install, remove };
    }

    private static async Task<int> RunAsync(Func<Task<IReadOnlyList<string>>> action)
    {
        try
        {
            foreach (string line in await action())
                Console.WriteLine(line);
            return ExitCode.Success;
        }
        catch (Exception e) when (e is HookException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return ExitCode.BadInput;
        }
    }

    /// <summary>Null when libvirt does not answer.</summary>
    private static async Task<Version?> LibvirtVersionAsync(CancellationToken cancel)
    {
        try
        {
            await using SystemBus bus = new(NullLogger.Instance);
            BusBody reply = await bus.CallAsync(
                new("org.libvirt", "/org/libvirt/QEMU", "org.freedesktop.DBus.Properties", "Get",
                    new BusBody("ss", "org.libvirt.Connect", "LibVersion"), s_timeout), cancel);
            // libvirt writes 9.0.0 as 9000000 (virGetVersion).
            ulong version = reply.Get<ulong>(0);
            return new Version((int)(version / 1_000_000), (int)(version / 1000 % 1000));
        }
        catch (BusException)
        {
            return null;
        }
    }
}
