// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Bus;
using VirtTier.Libvirt.DBus;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>What the running agent may do, and what this very look may see.</summary>
internal sealed class RightsCheck : IDoctorCheck
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(5);

    // Bits of capabilities(7); what each is for stands in packaging/virttier.service.
    private static readonly (string Name, int Bit)[] s_needed =
        [("CAP_DAC_READ_SEARCH", 2), ("CAP_SYS_PTRACE", 19), ("CAP_SYS_ADMIN", 21), ("CAP_SYS_NICE", 23)];

    public async Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel)
    {
        List<Finding> findings = [];
        if (!host.IsRoot)
            findings.Add(Finding.Warning("rights", "not looked at as root: some of this may be wrong", "sudo virttier doctor"));
        if (await AgentPidAsync(host.Bus, cancel) is uint pid)
            findings.AddRange(Agent(host, pid));
        else if (host.IsRoot)
            findings.Add(Finding.Ok("rights", "looked at as root; the agent does not run"));
        return findings;
    }

    private static IEnumerable<Finding> Agent(DoctorHost host, uint pid)
    {
        string? line = host.Read($"/proc/{pid}/status")?.Split('\n').FirstOrDefault(
            l => l.StartsWith("CapEff:", StringComparison.Ordinal));
        if (line is null || !ulong.TryParse(
            line["CapEff:".Length..].Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong held))
            yield break; // it has just ended
        string[] missing = [.. s_needed.Where(c => (held & (1UL << c.Bit)) == 0).Select(c => c.Name)];
        yield return missing.Length == 0
            ? Finding.Ok("rights", $"the agent (process {pid}) has the capabilities that it needs")
            : Finding.Error("rights", $"the agent (process {pid}) lacks {string.Join(", ", missing)}",
                // Not revert: a drop-in may say other things, too, which its owner wants.
                "systemctl cat virttier # take out CapabilityBoundingSet= and the like, then: systemctl daemon-reload && "
                    + "systemctl restart virttier");

        // "unconfined", or "NAME (enforce)"; empty without AppArmor.
        if (host.Read($"/proc/{pid}/attr/current") is string profile && profile.EndsWith("(enforce)", StringComparison.Ordinal))
            yield return Finding.Warning("rights",
                $"AppArmor confines the agent to the profile {Shorten.ForMessage(profile)}, which is not VirtTier's",
                ShellLine.Of("aa-complain", profile[..^" (enforce)".Length]));
    }

    private static async Task<uint?> AgentPidAsync(IBus bus, CancellationToken cancel)
    {
        try
        {
            BusBody reply = await bus.CallAsync(
                new("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
                    new BusBody("s", AgentInterface.Name), s_timeout), cancel);
            return reply.Get<uint>(0);
        }
        catch (BusException)
        {
            return null;
        }
    }
}
