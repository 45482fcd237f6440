// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary>What to type where there is no libvirt-dbus, over which <c>virttier get</c> and <c>set</c> work.</summary>
internal static class VirshInstead
{
    /// <summary>Adds the command of virsh to what went wrong, if that is what went wrong.</summary>
    /// <param name="failure">What went wrong.</param>
    /// <param name="domain">The domain's name or UUID, as it was given.</param>
    /// <param name="words">What <c>virsh metadata</c> is told besides the domain and the element.</param>
    public static string Explain(LibvirtException failure, string domain, params IEnumerable<string> words)
    {
        if (failure.InnerException is not BusException { ErrorName: BusException.ServiceUnknown })
            return failure.Message;
        domain = DomainKey.InLibvirt(domain);
        string[] named = domain.StartsWith('-') ? ["--", domain] : [domain];
        return $"{failure.Message}\nwithout libvirt-dbus, "
            + $"type{(words.Contains("--set") ? " (it replaces all attributes)" : "")}: "
            + ShellLine.Of(["virsh", "metadata", "--uri", TieringSettings.MetadataNamespace, .. words, .. named]);
    }

    /// <summary>The words for a change of settings. virsh replaces all attributes that are there.</summary>
    public static IEnumerable<string> Write(SettingsChange change, bool live, bool config)
    {
        if (live)
            yield return "--live";
        if (config)
            yield return "--config";
        // virsh has no way to take one attribute out and leave the others.
        if (change.Set.Count == 0)
        {
            yield return change.RemoveAll ? "--remove" : "--edit";
            yield break;
        }
        yield return "--key";
        yield return "virttier";
        yield return "--set";
        yield return new XElement("tiering", change.Set.Select(a => new XAttribute(a.Key, a.Value)))
            .ToString(SaveOptions.DisableFormatting);
    }
}
