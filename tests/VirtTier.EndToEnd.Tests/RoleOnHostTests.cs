// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using VirtTier.Demo;
using VirtTier.Testbed;

namespace VirtTier.EndToEnd.Tests;

/// <summary>
/// The Ansible role over SSH, by a user that is not root, on a host where a guest runs: it installs the packages, DKMS builds the
/// module for the kernel that runs, the agent tiers the guest; a second run changes nothing; after the removal the guest runs on.
/// The host has no libvirt-dbus, as most have not: the guest is found by libvirt's files.
/// </summary>
[Trait("Ring", "emulated")]
[Trait("Speed", "long")]
[Collection("one host at a time")]
public sealed partial class RoleOnHostTests : IAsyncLifetime
{
    private const int Attempts = 3;
    private const int BudgetMebibytes = 32;
    private const string Operator = "ansible";
    private const string Configuration =
        """{"defaults": {"dram": "32MiB"}, "migration": {"domain_cpu": "50%"}}""";

    // With a guest that is tiered and a host that compiles: many times what a quiet machine takes.
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(15);

    private readonly int _port = FreePort();
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory();
    private readonly DemoHost _host;
    private readonly string _top;

    public RoleOnHostTests()
    {
        string script = EmulatedHost.Named("role").Script;
        _top = Path.GetDirectoryName(Path.GetDirectoryName(script)!)!;
        _host = new DemoHost(new EmulatedHost(script, "role")
        {
            // What a host needs before the role comes: a way in, and what DKMS builds with.
            Packages = "openssh-server sudo python3 python3-apt dkms linux-headers-amd64",
            SshPort = _port,
        });
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await HereAsync(Path.Combine(_top, "testbed", "install-deps"), ["ansible-core", "openssh-client"]);
        await HereAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", Path.Combine(_folder.FullName, "key")]);
        string debs = Path.Combine(_folder.FullName, "debs");
        if (Environment.GetEnvironmentVariable("DEBS") is { Length: > 0 } built)
            await HereAsync("cp", ["-r", Path.GetFullPath(built, _top), debs]);
        else
            await HereAsync("env", ["PACKAGES=agent indep", Path.Combine(_top, "packaging/build-debs"), debs]);
        await File.WriteAllTextAsync(Path.Combine(_folder.FullName, "site.yml"), """
            ---
            - name: VirtTier on the KVM hosts
              hosts: all
              become: true
              roles:
                - virttier
            """, Cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.Host.DownAsync(CancellationToken.None);
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task The_role_installs_tiers_a_guest_that_runs_and_goes_without_it()
    {
        for (int attempt = 1; ; attempt++)
        {
            await _host.Host.DownAsync(Cancel);
            await _host.UpAsync(TestContext.Current.SendDiagnosticMessage, Cancel);
            try
            {
                await LetInAsync();
                await ComeAndGoAsync();
                return;
            }
            catch (Exception e) when (e is TestbedException or Xunit.Sdk.XunitException)
            {
                if (attempt == Attempts || await _host.EmulatorFailureAsync(Cancel) is not string failure)
                    throw;
                await Console.Error.WriteLineAsync($"THE EMULATOR FAILED: {failure}. All of it once more, on a fresh host");
            }
        }
    }

    private async Task ComeAndGoAsync()
    {
        PayloadDemoGuest guest = new(
            new PayloadGuest { Name = "lodger", MemoryMebibytes = 96, HotPages = 3500, StrideFrames = 3 }, null, BudgetMebibytes);
        await guest.StartAsync(_host.Host, Cancel);
        int pid = await _host.PidAsync(guest, Cancel);
        await _host.RunAsync(
            "dpkg --purge --force-depends libvirt-dbus; pkill -x libvirt-dbus; while pgrep -x libvirt-dbus; do sleep 1; done",
            Cancel);

        Assert.NotEqual(0, await RoleAsync("present", "--check"));
        Assert.Equal("", await _host.RunAsync("dpkg-query --list | grep -E 'virttier|kvm-ept-sample' || true", Cancel));

        Assert.NotEqual(0, await RoleAsync("present"));
        Assert.Matches("kvm_ept_sample.*installed", await _host.RunAsync("dkms status -k $(uname -r)", Cancel));
        Assert.Matches("/updates/dkms/kvm_ept_sample", await _host.RunAsync("modinfo --field filename kvm_ept_sample", Cancel));
        Assert.Matches("^kvm_ept_sample ", await _host.RunAsync("grep ^kvm_ept_sample /proc/modules", Cancel));
        Assert.Equal("virttier\n", await _host.RunAsync("stat --format=%U /var/lib/virttier", Cancel));
        (int exit, IReadOnlyList<DoctorLine> lines) = await _host.ConsultDoctorAsync(Cancel);
        Assert.True(exit < 2, string.Join('\n', lines));

        Placement placement = await TieredAsync(guest);
        TestContext.Current.SendDiagnosticMessage($"tiered: {placement}");

        Assert.Contains("libvirt by its files", await _host.RunAsync("virttier status", Cancel), StringComparison.Ordinal);

        await CompanyAsync();

        Assert.Equal(0, await RoleAsync("present"));
        Assert.Equal(0, await RoleAsync("present", "--check"));

        long before = (await guest.LifeAsync(_host.Host, Cancel)).Heartbeats;
        Assert.NotEqual(0, await RoleAsync("absent"));
        Assert.Equal("", await _host.RunAsync("dpkg-query --list | grep -E '^ii +(virttier|kvm-ept-sample)' || true", Cancel));
        Assert.Equal("", await _host.RunAsync("find /lib/modules -name 'kvm_ept_sample*'; pgrep -x virttier || true", Cancel));
        Assert.Equal(pid, await _host.PidAsync(guest, Cancel));
        Assert.Equal("running\n\n", await _host.RunAsync("virsh domstate lodger", Cancel));
        placement = await _host.PlacementAsync(guest, Cancel);
        TestContext.Current.SendDiagnosticMessage($"left as it was: {placement}");
        Assert.True(placement.Slow > guest.Payload.Frames / 4, placement.ToString());
        await EventuallyAsync(
            async () => (await guest.LifeAsync(_host.Host, Cancel)).Heartbeats > before + 2, "no heartbeat came");
        (long _, int starts, int damaged) = await guest.LifeAsync(_host.Host, Cancel);
        Assert.Equal((1, 0), (starts, damaged));
    }

    /// <summary>With nine more guests the agent, as installed, takes no more memory than is promised.</summary>
    private async Task CompanyAsync()
    {
        const int More = 9, MostKibibytes = 40 * 1024;
        for (int i = 0; i < More; i++)
        {
            await _host.Host.StartAsync(
                new PayloadGuest
                {
                    Name = $"guest{i}", MemoryMebibytes = 24, HotPages = 200, PassPeriod = TimeSpan.FromSeconds(1),
                }, cancel: Cancel);
        }
        await EventuallyAsync(
            async () => (await _host.StatusAsync(Cancel))?.Domains.Count(domain => domain.Rounds > 2) == More + 1,
            "not all guests are followed");
        string resident = await _host.RunAsync("awk '/^VmRSS:/ { print $2 }' /proc/$(pgrep -x virttier)/status", Cancel);
        TestContext.Current.SendDiagnosticMessage($"the agent with {More + 1} guests: {resident.Trim()} KiB");
        Assert.InRange(int.Parse(resident, CultureInfo.InvariantCulture), 1, MostKibibytes);
        await _host.RunAsync($"for i in $(seq 0 {More - 1}); do virsh --quiet destroy guest$i; done", Cancel);
    }

    /// <summary>Waits until the guest is within its budget, with what it touches in DRAM, by the kernel's word.</summary>
    private async Task<Placement> TieredAsync(PayloadDemoGuest guest)
    {
        Placement placement = new(0, 0, 0, 0);
        await EventuallyAsync(async () =>
        {
            placement = await _host.PlacementAsync(guest, Cancel);
            return placement.Dram <= guest.BudgetPages && placement.HotShare >= .95;
        }, "the guest was not tiered");
        return placement;
    }

    private async Task EventuallyAsync(Func<Task<bool>> condition, string otherwise)
    {
        HostClock clock = await _host.Host.ClockAsync(Cancel);
        while (!await condition())
        {
            Assert.True(clock.Elapsed < s_limit, otherwise);
            await Task.Delay(TimeSpan.FromSeconds(2), Cancel);
        }
    }

    /// <summary>Gives the host its address, and a user who may become root and whose key is ours.</summary>
    private async Task LetInAsync()
    {
        string key = (await File.ReadAllTextAsync(Path.Combine(_folder.FullName, "key.pub"), Cancel)).Trim();
        await _host.RunAsync($$"""
            set -e
            for device in /sys/class/net/*/device; do interface=$(basename $(dirname $device)); done
            ip link set $interface up
            ip address add 10.0.2.15/24 dev $interface
            useradd --create-home --shell /bin/bash {{Operator}}
            echo '{{Operator}} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{{Operator}}
            install -d -m 700 -o {{Operator}} ~{{Operator}}/.ssh
            echo '{{key}}' > ~{{Operator}}/.ssh/authorized_keys
            systemctl start ssh
            """, Cancel);
    }

    /// <summary>Runs the role on the host and returns how much it changed.</summary>
    private async Task<int> RoleAsync(string state, params string[] options)
    {
        string debs = string.Join(", ", Directory.GetFiles(Path.Combine(_folder.FullName, "debs"), "*.deb")
            .Where(file => DebsWanted().IsMatch(Path.GetFileName(file))).Order().Select(file => $"\"{file}\""));
        string variables =
            $$"""{"virttier_state": "{{state}}", "virttier_debs": [{{debs}}], "virttier_configuration": {{Configuration}}}""";
        string output = await HereAsync("ansible-playbook",
        [
            "--inventory", "kvm1,", "--private-key", Path.Combine(_folder.FullName, "key"), "--user", Operator,
            "--extra-vars", $"ansible_host=127.0.0.1 ansible_port={_port} ansible_python_interpreter=/usr/bin/python3",
            // The host is a new one each time.
            "--ssh-common-args", "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "--timeout", "300", "--extra-vars", variables, .. options, Path.Combine(_folder.FullName, "site.yml"),
        ]);
        Match recap = Recap().Match(output);
        Assert.True(recap.Success, output);
        TestContext.Current.SendDiagnosticMessage($"{state} {string.Join(' ', options)}: {recap.Value}");
        return int.Parse(recap.Groups[1].Value, CultureInfo.InvariantCulture);
    }

    private async Task<string> HereAsync(string program, string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        start.Environment["ANSIBLE_ROLES_PATH"] = Path.Combine(_top, "packaging", "ansible", "roles");
        start.Environment["ANSIBLE_PIPELINING"] = "true";
        start.Environment["ANSIBLE_NOCOLOR"] = "true";
        start.Environment["LC_ALL"] = "C.UTF-8";
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync(Cancel);
        string output = await process.StandardOutput.ReadToEndAsync(Cancel);
        await process.WaitForExitAsync(Cancel);
        Assert.True(process.ExitCode == 0, $"{program} failed: {output}{await error}");
        return output;
    }

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    // The module's package first: the agent's recommends it.
    [GeneratedRegex("^(kvm-ept-sample-dkms|virttier)_")]
    private static partial Regex DebsWanted();

    [GeneratedRegex(@"kvm1 .* changed=(\d+) +unreachable=0 +failed=0 .*")]
    private static partial Regex Recap();
}
