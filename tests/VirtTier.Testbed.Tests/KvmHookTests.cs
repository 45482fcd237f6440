// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace VirtTier.Testbed.Tests;

/// <summary>kernel_patch/kvm-hook on a host: builds KVM for the host's kernel from Debian's source,
/// which takes minutes.</summary>
[Trait("Ring", "emulated")]
[Trait("Speed", "long")]
public sealed class KvmHookTests : IAsyncLifetime
{
    private const int Refused = 3;
    private const string Tool = "VIRTTIER_HOOK_DIR=/share/kvm-hook /share/kvm-hook/kvm-hook";

    private readonly EmulatedHost _host = EmulatedHost.Named("kvm-hook");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await _host.UpAsync(cancel: Cancellation);
        string release = (await RunAsync("uname -r")).Trim();
        string root = Path.GetDirectoryName(Path.GetDirectoryName(_host.Script)!)!;
        string tool = Path.Combine(root, "kernel_patch", "kvm-hook"), share = await _host.ShareAsync(Cancellation);
        // Beside the share, which a new host finds empty: a build is kept for the next run.
        string builds = Path.Combine(Path.GetDirectoryName(share)!, "kvm-hook");
        await RunHereAsync(Path.Combine(root, "testbed", "install-deps"),
            [$"linux-headers-{release}", "patch", "xz-utils"], builds);
        await RunHereAsync(tool, ["build", release], builds);
        Directory.CreateDirectory(Path.Combine(share, "kvm-hook", release));
        foreach (string file in Directory.EnumerateFiles(Path.Combine(builds, release), "*.ko"))
            File.Copy(file, Path.Combine(share, "kvm-hook", release, Path.GetFileName(file)));
        File.Copy(tool, Path.Combine(share, "kvm-hook", "kvm-hook"));
    }

    public async ValueTask DisposeAsync() => await _host.DownAsync(CancellationToken.None);

    [Fact]
    public async Task Swaps_kvm_and_back_and_never_under_a_guest()
    {
        // The host's own first VM counts like any other.
        Assert.Equal(Refused, (await HookAsync("install")).ExitCode);
        Assert.Contains("loaded: without the hook", (await HookAsync("status")).RequireSuccess(), StringComparison.Ordinal);

        // Not stopped: the service that runs these commands requires it, and would be stopped with it.
        await RunAsync("systemctl kill kvm-keeper; while systemctl --quiet is-active kvm-keeper; do sleep 0.2; done");
        (await HookAsync("install")).RequireSuccess();
        string status = (await HookAsync("status")).RequireSuccess();
        Assert.Contains("installed: /lib/modules/", status, StringComparison.Ordinal);
        Assert.Contains("loaded: with the hook", status, StringComparison.Ordinal);

        PayloadGuest guest = new() { Name = "hooked", MemoryMebibytes = 64, HotPages = 1000 };
        await _host.StartAsync(guest, cancel: Cancellation);
        CommandResult refused = await HookAsync("remove");
        Assert.Equal(Refused, refused.ExitCode);
        Assert.Contains("stop or migrate them first", refused.Error, StringComparison.Ordinal);
        long before = (await _host.LogOfAsync(guest, Cancellation)).Heartbeats;
        await HostFixture.EventuallyAsync(
            _host, async () => (await _host.LogOfAsync(guest, Cancellation)).Heartbeats > before, "a heartbeat");
        Assert.Equal((1, 0),
            ((await _host.LogOfAsync(guest, Cancellation)).Starts, (await _host.LogOfAsync(guest, Cancellation)).DamagedPages));

        await RunAsync("virsh destroy hooked && virsh undefine hooked");
        (await HookAsync("remove")).RequireSuccess();
        status = (await HookAsync("status")).RequireSuccess();
        Assert.Contains("installed: no", status, StringComparison.Ordinal);
        Assert.Contains("loaded: without the hook", status, StringComparison.Ordinal);
        await _host.StartAsync(guest, cancel: Cancellation);
    }

    private Task<CommandResult> HookAsync(string verb) => _host.RunAsync($"{Tool} {verb}", cancel: Cancellation);

    private async Task<string> RunAsync(string command) =>
        (await _host.RunAsync(command, cancel: Cancellation)).RequireSuccess();

    private static async Task RunHereAsync(string program, string[] arguments, string built)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        start.Environment["VIRTTIER_HOOK_DIR"] = built;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(Cancellation);
        string error = await process.StandardError.ReadToEndAsync(Cancellation);
        await process.WaitForExitAsync(Cancellation);
        Assert.True(process.ExitCode == 0, $"{program} failed: {await output}{error}");
    }
}
