// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using Tmds.DBus;

// The package makes the proxies while it runs, in an assembly of its own.
[assembly: InternalsVisibleTo(Connection.DynamicAssemblyName)]

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// The agent as <c>docs/dbus.md</c> says it is, for a client that shares no code with it: the package Tmds.DBus writes and reads
/// the messages by these types.
/// </summary>
[DBusInterface("org.virttier.Agent1")]
internal interface IAgent1 : IDBusObject
{
    Task<(string Uuid, string Name, string State, string Reason)[]> ListDomainsAsync();

    Task<string> GetDomainAsync(string nameOrUuid);

    Task<string> GetCurveAsync(string nameOrUuid);

    Task<string> GetDetailAsync(string nameOrUuid);

    Task<string> GetHeatAsync(string nameOrUuid, uint seconds);

    Task<string> GetEstimateAsync();

    Task<string> GetStatusAsync();

    Task ReloadAsync();

    Task NotifyAsync(string domain, string operation, string xmlFile);

    Task<string> AdmitAsync(string domain, string xmlFile);

    Task<T> GetAsync<T>(string property);

    Task<IDictionary<string, object>> GetAllAsync();
}

/// <summary>Calls that the agent does not have.</summary>
[DBusInterface("org.virttier.Agent1")]
internal interface IWrongAgent1 : IDBusObject
{
    Task RebootAsync();

    Task<string> GetDomainAsync(int number);

    Task<string> GetCurveAsync();
}

[DBusInterface("org.freedesktop.DBus.Introspectable")]
internal interface IIntrospectable : IDBusObject
{
    Task<string> IntrospectAsync();
}

/// <summary>libvirt-dbus, a driver's object: what the tests ask of it.</summary>
[DBusInterface("org.libvirt.Connect")]
internal interface ILibvirtConnect : IDBusObject
{
    Task<ObjectPath[]> ListDomainsAsync(uint flags);

    Task<ObjectPath> DomainLookupByNameAsync(string name);
}

/// <summary>libvirt-dbus, a domain's object: what the tests ask of it.</summary>
[DBusInterface("org.libvirt.Domain")]
internal interface ILibvirtDomain : IDBusObject
{
    Task<string> GetMetadataAsync(int type, string uri, uint flags);

    Task SetMetadataAsync(int type, string metadata, string key, string uri, uint flags);

    Task<string> GetXMLDescAsync(uint flags);

    Task<T> GetAsync<T>(string property);
}
