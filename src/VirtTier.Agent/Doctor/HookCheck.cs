// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Hook;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>libvirt's qemu hook, and whether AppArmor lets libvirt's daemon run it.</summary>
internal sealed class HookCheck : IDoctorCheck
{
    public Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel) =>
        Task.FromResult<IReadOnlyList<Finding>>(host.IsLibvirtOff
            ? [Finding.Ok("hook", "is not needed, as libvirt is not asked")] : [Hook(host), AppArmor(host)]);

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
        string daemon = host.LibvirtDaemon ?? "libvirtd";
        string profile = $"/etc/apparmor.d/usr.sbin.{daemon}", local = $"/etc/apparmor.d/local/usr.sbin.{daemon}";
        return host.Read(profile) is not { } rules || AllowsHooks(rules) || AllowsHooks(host.Read(local) ?? "")
            ? Finding.Ok("apparmor", $"on; {daemon} may run its hooks")
            : Finding.Warning(
                "apparmor",
                $"{daemon}'s profile {profile} does not let it run hooks",
                $"echo '/etc/libvirt/hooks/** rmix,' >> {local} && apparmor_parser -r {profile}");

        static bool AllowsHooks(string rules) => rules.Contains("/etc/libvirt/hooks/", StringComparison.Ordinal);
    }
}
