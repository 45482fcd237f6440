// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>Writes heat into the metadata of running domains, where libvirt carries it along.</summary>
public interface IHeatCarrier
{
    /// <summary>Puts a domain's heat into its metadata as it runs, never into the definition from which it starts the next
    /// time.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="text">The heat; null to take away what is there, in both copies.</param>
    /// <returns>Null, or why it was not done.</returns>
    Task<string?> WriteAsync(RunningDomain domain, string? text);
}

/// <summary>
/// Does so through libvirt-dbus. It has four worker threads, and a call waits in libvirt for up to half a minute while the domain
/// has a job: so there is one call at a time for all domains.
/// </summary>
/// <param name="bus">The system bus. It stays the caller's.</param>
/// <param name="driverPath">The object of libvirt-dbus for the driver whose domains are meant.</param>
public sealed class HeatCarrier(IBus bus, string driverPath = "/org/libvirt/QEMU") : IHeatCarrier, IDisposable
{
    // From libvirt-domain.h.
    private const int MetadataElement = 2; // VIR_DOMAIN_METADATA_ELEMENT
    private const uint AffectLive = 1, AffectConfig = 2; // virDomainModificationImpact
    private const uint XmlInactive = 2; // VIR_DOMAIN_XML_INACTIVE

    // libvirt gives up after 30 s itself.
    private static readonly TimeSpan s_callTimeout = TimeSpan.FromSeconds(40);

    private readonly SemaphoreSlim _one = new(1);

    /// <inheritdoc/>
    public async Task<string?> WriteAsync(RunningDomain domain, string? text)
    {
        ArgumentNullException.ThrowIfNull(domain);
        string path = PathOf(domain.Uuid);
        await _one.WaitAsync().ConfigureAwait(false);
        try
        {
            await WriteAsync(path, text, AffectLive).ConfigureAwait(false);
            if (text is null)
                await CleanDefinitionAsync(path).ConfigureAwait(false);
            return null;
        }
        catch (BusException e)
        {
            return LibvirtClient.DescribeMissingService(e) ?? Shorten.Sentence(e.Message);
        }
        finally
        {
            _one.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _one.Dispose();

    /// <summary>A transient domain that is migrated with --persistent is defined at the destination as it ran at the source. Heat
    /// in a definition is of no use: the guest starts anew.</summary>
    private async Task CleanDefinitionAsync(string path)
    {
        BusBody reply = await CallAsync(path, "GetXMLDesc", new("u", XmlInactive)).ConfigureAwait(false);
        // A domain without a definition gives the one that was just cleaned.
        if (HasHeat(reply.Get<string>(0)))
            await WriteAsync(path, null, AffectConfig).ConfigureAwait(false);
    }

    private static bool HasHeat(string xml)
    {
        try
        {
            return DomainXml.Parse(xml).Heat is not null;
        }
        catch (FormatException)
        {
            return false;
        }
    }

    private Task<BusBody> WriteAsync(string path, string? text, uint copy) => CallAsync(
        path, "SetMetadata",
        new("isssu", MetadataElement, HeatMetadata.ToXml(text), HeatMetadata.Key, HeatMetadata.Namespace, copy));

    private Task<BusBody> CallAsync(string path, string member, BusBody body) =>
        bus.CallAsync(new(LibvirtClient.Service, path, LibvirtClient.DomainInterface, member, body, s_callTimeout));

    private string PathOf(Guid uuid) => $"{driverPath}/domain/_{uuid.ToString().Replace('-', '_')}";
}
