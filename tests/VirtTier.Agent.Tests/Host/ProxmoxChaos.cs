// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests.Host;

/// <summary>Chaos of Proxmox VE's VMs: its two directories, made as its documentation has them. Debian's QEMU has no <c>-id</c>,
/// so that is the name of an option's directory in front of a disk of the VM's number.</summary>
internal sealed class ProxmoxChaos : SourceChaos
{
    private readonly Dictionary<int, VmSettings> _settings = [];

    internal ProxmoxChaos(int seed)
        : base(seed)
    {
        foreach (string directory in Directories)
            Directory.CreateDirectory(directory);
    }

    protected override SourceOptions Sources => new() { Proxmox = true, ProxmoxRun = At("run"), ProxmoxConfig = At("conf") };

    protected override IReadOnlyList<string> Directories => [At("run"), At("conf")];

    protected override async Task<Vm> StartQemuAsync(int number)
    {
        string id = string.Create(CultureInfo.InvariantCulture, $"{100 + number}");
        await File.WriteAllBytesAsync(At(id), new byte[1 << 20]);
        WriteConfiguration(id, _settings.GetValueOrDefault(number, VmSettings.None));
        Daemon qemu = await StartQemuAsync("vm" + id, At($"run/{id}.pid"), "-L", "-id", id);
        return new(number, id, $"web{id}", qemu.Pid, qemu) { Settings = _settings.GetValueOrDefault(number, VmSettings.None) };
    }

    protected override Task WriteSettingsAsync(Vm vm)
    {
        WriteConfiguration(vm.Id, _settings[vm.Number] = vm.Settings);
        return Task.CompletedTask;
    }

    /// <summary>The pid of a VM that lives, in a file that nobody holds.</summary>
    protected override Task LeaveLitterAsync()
    {
        Note("leave a pid file behind");
        return File.WriteAllTextAsync(At("run/99.pid"), string.Create(CultureInfo.InvariantCulture, $"{Vms[0].Pid}\n"));
    }

    private void WriteConfiguration(string id, VmSettings settings)
    {
        string[] tags =
        [
            "prod",
            .. settings.IsBad ? (string[])["virttier-shares-many"] : [],
            .. settings.Shares is { } shares
                ? (string[])[string.Create(CultureInfo.InvariantCulture, $"virttier-shares-{shares}")] : [],
            .. settings.IsOff ? (string[])["virttier-mode-off"] : [],
        ];
        WholeFile.Replace(At($"conf/{id}.conf"), System.Text.Encoding.UTF8.GetBytes(
            $"name: web{id}\nmemory: {MemoryMiB}\ntags: {string.Join(';', tags)}\n\n[before]\ntags: virttier-shares-77\n"));
    }
}
