// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Bus;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Doctor;

/// <summary>The services on the system bus: libvirt, machined, and the agent itself.</summary>
internal sealed class ServicesCheck : IDoctorCheck
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(5);

    public async Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel) => !host.Bus.State.Connected
        ? [Finding.Error("system bus", host.Bus.State.Reason!, "systemctl start dbus")]
        : [await LibvirtAsync(host, cancel), await MachinedAsync(host, cancel), .. await AgentAsync(host, cancel)];

    private static async Task<Finding> LibvirtAsync(DoctorHost host, CancellationToken cancel)
    {
        if (host.IsLibvirtOff)
            return Finding.Ok("libvirt", "is not asked, as the configuration says (libvirt.source: off)");
        if (host.Domains.Link.Connected)
        {
            string source = host.Domains.Source == LibvirtSource.Files
                ? "its files are read, without libvirt-dbus" : "libvirt-dbus answers";
            return Finding.Ok("libvirt", $"{source}; {host.Domains.Count(DomainSources.Libvirt)} domains run");
        }
        return Finding.Error("libvirt", host.Domains.Link.Reason!, await LibvirtMendAsync(host, cancel));
    }

    /// <summary>What mends a libvirt that does not answer, by how it does not. libvirtd is never restarted: that
    /// ends migrations and saves.</summary>
    private static async Task<string> LibvirtMendAsync(DoctorHost host, CancellationToken cancel)
    {
        const string Start = "systemctl start libvirt-dbus", Service = "/usr/sbin/libvirt-dbus";
        if (host.Domains.Source == LibvirtSource.Files)
            return DaemonMend(host);
        if (!await IsOnBusAsync(host.Bus, "org.libvirt", cancel))
            return host.Has(Service) ? Start : host.Install("libvirt-dbus");
        try
        {
            await host.Bus.CallAsync(
                new("org.libvirt", "/org/libvirt/QEMU", "org.libvirt.Connect", "ListDomains", new BusBody("u", 1u), s_timeout),
                cancel);
            return "virttier doctor # once more: it has just answered";
        }
        catch (BusException e)
        {
            return e.ErrorName switch
            {
                // Root may call it by its package's policy: that is gone, or the package is and this is left of it.
                BusException.AccessDenied => !host.IsRoot ? "sudo virttier doctor"
                    : host.Has(Service) ? host.Reinstall("libvirt-dbus") : "systemctl stop libvirt-dbus",
                BusException.NoReply or BusException.Timeout =>
                    "timeout 10 virsh -c qemu:///system list && systemctl restart libvirt-dbus "
                    + "# if that does not answer either, a hook or a daemon is stuck: "
                    + "ps -C libvirtd,virtqemud,qemu -o pid,etime,stat,args",
                "org.libvirt.Error" => LibvirtdMend(host, e.Message),
                _ => Start,
            };
        }
    }

    /// <summary>What keeps libvirt-dbus, which answers, from libvirtd.</summary>
    private static string LibvirtdMend(DoctorHost host, string error)
    {
        if (Says("Permission denied") || Says("authentication") || Says("access denied"))
            return "usermod -aG libvirt libvirtdbus && systemctl restart libvirt-dbus";
        if (!Says("No such file or directory") && !Says("Connection refused"))
            return "systemctl restart libvirt-dbus";
        return DaemonMend(host);

        bool Says(string text) => error.Contains(text, StringComparison.OrdinalIgnoreCase);
    }

    private static string DaemonMend(DoctorHost host) => host.LibvirtDaemon is { } daemon
        ? $"systemctl start {host.UnitsOf(daemon)}"
        : host.Install("libvirt-daemon-system", "libvirt-daemon-kvm");

    private static async Task<Finding> MachinedAsync(DoctorHost host, CancellationToken cancel) =>
        host.IsLibvirtOff ? Finding.Ok("machined", "is not needed, as libvirt is not asked")
            : await IsOnBusAsync(host.Bus, "org.freedesktop.machine1", cancel) ? Finding.Ok("machined", "is there")
            : Finding.Warning(
                "machined",
                "systemd-machined is absent: QEMU's processes are known by the locks of their pid files alone",
                host.Install("systemd-container"));

    /// <summary>The agent, and what it only watches though its settings would have it moved.</summary>
    private static async Task<IReadOnlyList<Finding>> AgentAsync(DoctorHost host, CancellationToken cancel)
    {
        try
        {
            AgentStatus status = await new AgentClient(host.Bus).GetStatusAsync(cancel);
            return
            [
                Finding.Ok("agent", $"virttier {status.Version} runs and knows {status.Domains.Count} domains"),
                .. status.Domains.Where(d => d is { State: TieringState.Observing, Reason: not null })
                    .Select(d => new Finding(DomainsCheck.NameOf(d.Key), Severity.Note, d.Reason!, Mend: null)),
            ];
        }
        catch (AgentUnreachableException e)
        {
            return [Finding.Warning("agent", e.Message, host.IsRoot ? "systemctl start virttier" : "sudo virttier doctor")];
        }
    }

    /// <summary>Whether somebody owns a name, or would be started for it.</summary>
    private static async Task<bool> IsOnBusAsync(IBus bus, string name, CancellationToken cancel)
    {
        try
        {
            return (await AskAsync("NameHasOwner", new BusBody("s", name))).Get<bool>(0)
                || (await AskAsync("ListActivatableNames", BusBody.Empty)).Get<string[]>(0).Contains(name);
        }
        catch (BusException)
        {
            return false;
        }

        Task<BusBody> AskAsync(string member, BusBody body) => bus.CallAsync(
            new("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member, body, s_timeout), cancel);
    }
}
