// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Testbed.Tests;

[Trait("Ring", "emulated")]
[Collection(HostGroup.Name)]
public sealed class EmulatedHostTests(HostFixture fixture)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task It_is_a_whole_systemd_machine_with_the_stock_kernel()
    {
        Assert.Equal("running", (await fixture.RunAsync("systemctl is-system-running --wait")).Trim());
        Assert.Matches(@"^6\.1\.0-\d+-amd64$", (await fixture.RunAsync("uname -r")).Trim());
    }

    [Fact]
    public async Task Node_1_has_memory_and_no_cpu()
    {
        Assert.Equal("0-1", (await fixture.RunAsync("cat /sys/devices/system/node/has_memory")).Trim());
        Assert.Equal("0-1", (await fixture.RunAsync("cat /sys/devices/system/node/node0/cpulist")).Trim());
        Assert.Equal("", (await fixture.RunAsync("cat /sys/devices/system/node/node1/cpulist")).Trim());
    }

    [Fact]
    public async Task Kvm_uses_nested_paging_and_nothing_else_moves_or_merges_pages()
    {
        Assert.Equal("Y", (await fixture.RunAsync("cat /sys/module/kvm_amd/parameters/npt")).Trim());
        Assert.Equal("0", (await fixture.RunAsync("cat /proc/sys/kernel/numa_balancing")).Trim());
        Assert.Contains("[never]", await fixture.RunAsync("cat /sys/kernel/mm/transparent_hugepage/enabled"),
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Libvirt_answers_on_the_bus()
    {
        string reply = await fixture.RunAsync("busctl call org.libvirt /org/libvirt/QEMU org.libvirt.Connect ListDomains u 0");

        Assert.StartsWith("ao ", reply, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_command_gives_back_both_outputs_and_its_exit_code()
    {
        CommandResult result = await fixture.Host.RunAsync("echo out; echo err >&2; exit 7", cancel: Cancellation);

        Assert.Equal(new CommandResult(7, "out\n", "err\n"), result);
    }

    [Fact]
    public async Task A_command_over_its_limit_is_ended_in_the_host()
    {
        CommandResult result = await fixture.Host.RunAsync(
            "echo begun; sleep 777", TimeSpan.FromSeconds(2), cancel: Cancellation);

        Assert.Equal(124, result.ExitCode);
        Assert.Equal("begun\n", result.Output);
        Assert.Contains("limit of 2 s", result.Error, StringComparison.Ordinal);
        Assert.Equal("0", (await fixture.RunAsync("pgrep -fc 'sleep 777$' || true")).Trim());
    }

    [Fact]
    public async Task Commands_run_side_by_side()
    {
        // The first waits for what the second does: in turn, they would never end.
        Task<CommandResult> first = fixture.Host.RunAsync(
            "until [ -e /run/second ]; do sleep 0.1; done", TimeSpan.FromSeconds(60), cancel: Cancellation);
        Task<CommandResult> second = fixture.Host.RunAsync("touch /run/second", cancel: Cancellation);

        Assert.Equal([0, 0], (await Task.WhenAll(first, second)).Select(result => result.ExitCode));
    }

    [Fact]
    public async Task A_file_arrives_whole_with_its_mode()
    {
        string source = Path.GetTempFileName();
        byte[] content = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * 31))];
        await File.WriteAllBytesAsync(source, content, Cancellation);
        File.SetUnixFileMode(source, UnixFileMode.UserRead | UnixFileMode.UserExecute);

        await fixture.Host.CopyInAsync(source, "/opt/made/file", Cancellation);
        File.Delete(source);

        string sum = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(content));
        Assert.StartsWith(sum, await fixture.RunAsync("sha256sum /opt/made/file"), StringComparison.Ordinal);
        Assert.Equal("500", (await fixture.RunAsync("stat -c %a /opt/made/file")).Trim());
    }

    [Fact]
    public async Task A_host_that_is_down_is_named_with_the_command_that_mends_it()
    {
        CommandResult result = await EmulatedHost.Named("never-started").RunAsync("true", cancel: Cancellation);

        Assert.Equal(125, result.ExitCode);
        Assert.Contains("testbed up", result.Error, StringComparison.Ordinal);
    }
}
