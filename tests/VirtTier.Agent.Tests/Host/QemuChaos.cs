// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Configuration;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests.Host;

/// <summary>Chaos of plain QEMUs: half of them by their pid files, half in cgroups of the host's own, where such can be made.
/// Their settings are rules, which a reload changes.</summary>
internal sealed class QemuChaos : SourceChaos
{
    private readonly Dictionary<int, VmSettings> _settings = [];
    private readonly string? _cgroupRoot; // of version 2
    private readonly string _slice = $"vt-chaos-{Guid.NewGuid():N}";

    internal QemuChaos(int seed)
        : base(seed)
    {
        Directory.CreateDirectory(At("run"));
        string? mounted = File.ReadLines("/proc/self/mounts").Select(line => line.Split(' ')).FirstOrDefault(
            fields => fields[2] == "cgroup2")?[1];
        try
        {
            if (mounted is not null)
                Directory.CreateDirectory(Path.Combine(mounted, _slice));
            _cgroupRoot = mounted;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Note($"without cgroups: {e.Message}");
        }
    }

    protected override SourceOptions Sources => new()
    {
        PidFiles = [At("run/*.pid")],
        Cgroups = [$"/{_slice}/*.service"],
        CgroupRoot = _cgroupRoot ?? "/sys/fs/cgroup",
    };

    protected override IReadOnlyList<string> Directories => [At("run")];

    protected override string Configuration => "rules:\n" + string.Concat(_settings.Select(vm => string.Create(
        CultureInfo.InvariantCulture,
        $"- match: {{name: \"web{vm.Key}\"}}\n  set: {{mode: \"{(vm.Value.IsOff ? "off" : "enforce")}\"{Shares(vm.Value)}}}\n")))
        + "- match: {name: \"nobody\"}\n  set: {shares: 1}\n";

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        if (_cgroupRoot is null)
            return;
        foreach (string service in Directory.GetDirectories(Path.Combine(_cgroupRoot, _slice)))
            await RemoveAsync(service);
        await RemoveAsync(Path.Combine(_cgroupRoot, _slice));
    }

    protected override async Task<Vm> StartQemuAsync(int number)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"web{number}");
        VmSettings settings = _settings.GetValueOrDefault(number, VmSettings.None);
        if (_cgroupRoot is null || number % 2 == 0)
        {
            string file = At($"run/{name}.pid");
            Daemon qemu = await StartQemuAsync(name, file);
            return new(number, file, name, qemu.Pid, qemu) { Settings = settings };
        }
        Daemon inCgroup = await StartQemuAsync(name, pidFile: null);
        string id = $"/{_slice}/{name}.service";
        await File.WriteAllTextAsync(Path.Combine(Directory.CreateDirectory(_cgroupRoot + id).FullName, "cgroup.procs"),
            string.Create(CultureInfo.InvariantCulture, $"{inCgroup.Pid}"));
        return new(number, id, name, inCgroup.Pid, inCgroup) { Settings = settings };
    }

    /// <summary>There are no bad ones: such a configuration is refused, and no matter of a VM.</summary>
    protected override VmSettings AnySettings() => base.AnySettings() with { IsBad = false };

    protected override Task WriteSettingsAsync(Vm vm)
    {
        _settings[vm.Number] = vm.Settings;
        return Reconciler.ReconfigureAsync(ConfigReader.Read("virttier.yaml", Configuration), Memory);
    }

    /// <summary>A pid file that nobody holds, or a configuration that names nothing for a moment.</summary>
    protected override async Task LeaveLitterAsync()
    {
        if (Chance.Next(2) == 0)
        {
            Note("leave a pid file behind");
            await File.WriteAllTextAsync(At("run/old.pid"), string.Create(CultureInfo.InvariantCulture, $"{Vms[0].Pid}\n"));
            return;
        }
        Note("reload to no sources, and back");
        LookAt(new());
        await Task.Delay(Chance.Next(1000));
        LookAt(Sources);
    }

    private static string Shares(VmSettings settings) =>
        settings.Shares is { } shares ? string.Create(CultureInfo.InvariantCulture, $", shares: {shares}") : "";

    /// <summary>A cgroup can be removed once the kernel has let go of its last process.</summary>
    private static Task RemoveAsync(string cgroup) => Eventually.IsTrue(
        () =>
        {
            try
            {
                Directory.Delete(cgroup);
                return true;
            }
            catch (IOException)
            {
                return false;
            }
        },
        () => $"{cgroup} stays");
}
