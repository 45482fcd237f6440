// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Hook;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>libvirt's qemu hook, and whether AppArmor lets libvirtd run it.</summary>
internal sealed class HookCheck : IDoctorCheck
{
    private const string Profile = "/etc/apparmor.d/usr.sbin.libvirtd";

    public Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel) =>
        Task.FromResult<IReadOnlyList<Finding>>([Hook(host), AppArmor(host)]);

    private static Finding Hook(DoctorHost host) => new HookInstaller(host.Root).Look() switch
    {
        (HookState.Installed, string path) => Finding.Ok("hook", $"{path} is in place"),
        (HookState.Outdated, string path) =>
            Finding.Warning("hook", $"{path} is of another version than this program", "virttier hook install"),
        (HookState.NotExecutable, string path) => Finding.Warning(
            "hook", $"{path} is not executable, so that libvirt passes over it", ShellLine.Of("chmod", "755", path)),
        _ => Finding.Warning("hook",
            "libvirt's qemu hook is not installed: the agent learns of VMs some milliseconds later, "
                + "and there is no admission control", "virttier hook install"),
    };

    private static Finding AppArmor(DoctorHost host)
    {
        if (!host.IsOn("/sys/module/apparmor/parameters/enabled"))
            return Finding.Ok("apparmor", "off");
        string? profile = host.Read(Profile);
        return profile is null || profile.Contains("/etc/libvirt/hooks/", StringComparison.Ordinal)
            || (host.Read("/etc/apparmor.d/local/usr.sbin.libvirtd")?.Contains("/etc/libvirt/hooks/", StringComparison.Ordinal)
                ?? false)
            ? Finding.Ok("apparmor", "on; libvirtd may run its hooks")
            : Finding.Warning(
                "apparmor",
                $"libvirtd's profile {Profile} does not let it run hooks",
                $"echo '/etc/libvirt/hooks/** rmix,' >> /etc/apparmor.d/local/usr.sbin.libvirtd && apparmor_parser -r {Profile}");
    }
}
