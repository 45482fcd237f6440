// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>Reads and writes the settings in the metadata of domains, running or not, through libvirt-dbus.</summary>
/// <remarks>For a person at the command line: one call after another, each given up on after a while.</remarks>
/// <param name="bus">The system bus. It stays the caller's.</param>
/// <param name="driverPath">The object of libvirt-dbus for the driver whose domains are meant.</param>
public sealed class DomainSettingsClient(IBus bus, string driverPath = "/org/libvirt/QEMU")
{
    /// <summary>The prefix that libvirt gives the element in the domain's XML.</summary>
    private const string MetadataKey = "virttier";

    // From libvirt-domain.h.
    private const int MetadataElement = 2; // VIR_DOMAIN_METADATA_ELEMENT
    private const uint AffectLive = 1, AffectConfig = 2; // virDomainModificationImpact
    private const uint XmlInactive = 2; // VIR_DOMAIN_XML_INACTIVE

    /// <summary>A domain that runs a job, or a hook that does not end, keeps libvirt from answering.</summary>
    private static readonly TimeSpan s_callTimeout = TimeSpan.FromSeconds(20);

    /// <summary>Finds a domain.</summary>
    /// <param name="nameOrUuid">Its name; or its UUID, unless that is the name of a domain.</param>
    /// <param name="cancel">Gives up waiting.</param>
    /// <exception cref="LibvirtException">There is no such domain, or libvirt does not answer.</exception>
    public async Task<DomainHandle> FindAsync(string nameOrUuid, CancellationToken cancel = default)
    {
        string path = await LookupAsync(nameOrUuid, cancel).ConfigureAwait(false);
        return new DomainHandle(
            path,
            await GetAsync<string>(path, "Name", cancel).ConfigureAwait(false),
            await GetUuidAsync(path, cancel).ConfigureAwait(false),
            await GetAsync<bool>(path, "Active", cancel).ConfigureAwait(false),
            await GetAsync<bool>(path, "Persistent", cancel).ConfigureAwait(false));
    }

    /// <summary>Reads the settings as they stand in one copy of a domain's definition.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="copy">Which copy.</param>
    /// <param name="cancel">Gives up waiting.</param>
    /// <exception cref="LibvirtException">The domain has no such copy or is gone, or libvirt does not answer.</exception>
    public async Task<DomainSettings> ReadAsync(
        DomainHandle domain, DefinitionCopy copy, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(domain);
        uint flags = copy == DefinitionCopy.Config ? XmlInactive : 0;
        string text = await AskAsync<string>(
            domain.Path, LibvirtClient.DomainInterface, "GetXMLDesc", new("u", flags), cancel).ConfigureAwait(false);
        try
        {
            DomainXml xml = DomainXml.Parse(text);
            IEnumerable<XAttribute> attributes = xml.Tiering?.Attributes().Where(a => !a.IsNamespaceDeclaration) ?? [];
            return new DomainSettings(
                [.. attributes.Select(a => KeyValuePair.Create(a.Name.ToString(), a.Value))],
                xml.MemoryBytes,
                TieringSettings.FromElement(xml.Tiering, xml.MemoryBytes).Problems);
        }
        catch (FormatException e)
        {
            throw new LibvirtException($"{Shorten.ForMessage(domain.Name)}: {e.Message}", e);
        }
    }

    /// <summary>
    /// Replaces the settings in one copy of a domain's definition. libvirt-dbus cannot take a metadata element away: with no
    /// attributes an empty one is left, which says as little as none.
    /// </summary>
    /// <param name="domain">The domain.</param>
    /// <param name="copy">Which copy.</param>
    /// <param name="attributes">Names and values; what is wrong with them must have been looked for before.</param>
    /// <param name="cancel">Gives up waiting.</param>
    /// <exception cref="LibvirtException">The domain has no such copy or is gone, or libvirt does not answer.</exception>
    public async Task WriteAsync(
        DomainHandle domain, DefinitionCopy copy, IEnumerable<KeyValuePair<string, string>> attributes,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(domain);
        XElement element = new(TieringSettings.ElementName, attributes.Select(a => new XAttribute(a.Key, a.Value)));
        uint flags = copy == DefinitionCopy.Config ? AffectConfig : AffectLive;
        BusBody arguments = new("isssu", MetadataElement, element.ToString(), MetadataKey,
            TieringSettings.MetadataNamespace, flags);
        await CallAsync(domain.Path, LibvirtClient.DomainInterface, "SetMetadata", arguments, _ => true, cancel)
            .ConfigureAwait(false);
    }

    private async Task<string> LookupAsync(string nameOrUuid, CancellationToken cancel)
    {
        try
        {
            return await LookupAsync("DomainLookupByName", nameOrUuid, cancel).ConfigureAwait(false);
        }
        catch (LibvirtException) when (Guid.TryParse(nameOrUuid, out _))
        {
            return await LookupAsync("DomainLookupByUUID", nameOrUuid, cancel).ConfigureAwait(false);
        }
        catch (LibvirtException) when (DomainKey.InLibvirt(nameOrUuid) != nameOrUuid)
        {
            return await LookupAsync(DomainKey.InLibvirt(nameOrUuid), cancel).ConfigureAwait(false);
        }
    }

    private Task<string> LookupAsync(string member, string nameOrUuid, CancellationToken cancel) =>
        AskAsync<string>(driverPath, LibvirtClient.ConnectInterface, member, new("s", nameOrUuid), cancel);

    private async Task<Guid> GetUuidAsync(string path, CancellationToken cancel)
    {
        string text = await GetAsync<string>(path, "UUID", cancel).ConfigureAwait(false);
        return Guid.TryParse(text, out Guid uuid)
            ? uuid
            : throw new LibvirtException($"libvirt-dbus says that the domain's UUID is '{Shorten.ForMessage(text)}'");
    }

    private Task<T> GetAsync<T>(string path, string property, CancellationToken cancel) => AskAsync<T>(
        path, "org.freedesktop.DBus.Properties", "Get", new("ss", LibvirtClient.DomainInterface, property), cancel);

    private Task<T> AskAsync<T>(string path, string @interface, string member, BusBody body, CancellationToken cancel) =>
        CallAsync(path, @interface, member, body, reply => reply.Get<T>(0), cancel);

    // What is answered is read here, too: an answer of another type is as little of one as none.
    private async Task<T> CallAsync<T>(
        string path, string @interface, string member, BusBody body, Func<BusBody, T> read, CancellationToken cancel)
    {
        try
        {
            BusBody reply = await bus.CallAsync(
                new(LibvirtClient.Service, path, @interface, member, body, s_callTimeout), cancel).ConfigureAwait(false);
            return read(reply);
        }
        catch (BusException e)
        {
            string reason = e.ErrorName == BusException.NoReply
                ? $"libvirt did not answer within {s_callTimeout.TotalSeconds:0} s: its daemon or one of its hooks may be blocked"
                : LibvirtClient.DescribeMissingService(e) ?? Shorten.Sentence(e.Message);
            throw new LibvirtException(reason, e);
        }
    }
}

/// <summary>Libvirt refuses what it was asked, or does not answer; the message is a sentence for people.</summary>
/// <param name="message">The sentence.</param>
/// <param name="inner">What it comes from.</param>
public sealed class LibvirtException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A domain as it was found.</summary>
/// <param name="Path">Its object in libvirt-dbus.</param>
/// <param name="Name">Its name.</param>
/// <param name="Uuid">Its UUID.</param>
/// <param name="IsActive">It runs, so that it has a live copy of its definition.</param>
/// <param name="IsPersistent">It is defined, so that it has a configured copy.</param>
public sealed record DomainHandle(string Path, string Name, Guid Uuid, bool IsActive, bool IsPersistent);

/// <summary>The copies of a domain's definition.</summary>
public enum DefinitionCopy
{
    /// <summary>That of the domain as it runs.</summary>
    Live,

    /// <summary>That from which it starts the next time.</summary>
    Config,
}

/// <summary>The settings in one copy of a domain's definition.</summary>
/// <param name="Attributes">The attributes of the element, as they stand there; none when there is no element.</param>
/// <param name="MemoryBytes">The domain's memory in that copy.</param>
/// <param name="Problems">What is wrong with them.</param>
public sealed record DomainSettings(
    IReadOnlyList<KeyValuePair<string, string>> Attributes, ulong MemoryBytes, IReadOnlyList<SettingsProblem> Problems);
