// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Bus;

/// <summary>The agent on the system bus. Calls are answered from memory: none waits for libvirt or the kernel.</summary>
internal sealed class AgentObject : IDisposable
{
    private const string Properties = "org.freedesktop.DBus.Properties";

    private readonly Func<AgentStatus> _status;
    private readonly Func<DomainKey, DramCurve?> _curve;
    private readonly DomainPictures _pictures;
    private readonly HookListener _hook;
    private readonly Func<Task> _reload;
    private readonly IDisposable _export;

    /// <param name="bus">Where to appear; owns the name from now on.</param>
    /// <param name="status">Gives the status of now.</param>
    /// <param name="curve">Gives the curve of a domain; null while too little is known of it.</param>
    /// <param name="pictures">What people ask to see of domains.</param>
    /// <param name="hook">Hears what libvirt's qemu hook says.</param>
    /// <param name="reload">Reads the configuration again; throws <see cref="ConfigException"/> when it cannot be used.</param>
    public AgentObject(
        IBus bus, Func<AgentStatus> status, Func<DomainKey, DramCurve?> curve, DomainPictures pictures, HookListener hook,
        Func<Task> reload)
    {
        _status = status;
        _curve = curve;
        _pictures = pictures;
        _hook = hook;
        _reload = reload;
        _export = bus.Export(AgentInterface.Path, AgentInterface.Introspection, AnswerAsync);
        bus.OwnName(AgentInterface.Name);
    }

    public void Dispose() => _export.Dispose();

    private async Task<BusBody> AnswerAsync(BusMethodCall call)
    {
        switch (call.Interface, call.Member)
        {
            case (Properties, "Get"):
                return new BusBody("v", Property(call.Body.Get<string>(0), call.Body.Get<string>(1)));
            case (Properties, "GetAll"):
                return new BusBody("a{sv}", AllProperties(call.Body.Get<string>(0)));
            case ("" or AgentInterface.Name, AgentInterface.ListDomains):
                object[] domains =
                    [.. _status().Domains.Select(d => new object[] { d.Uuid.ToString(), d.Name, d.StateName, d.Reason ?? "" })];
                return new BusBody("a(ssss)", (object)domains);
            case ("" or AgentInterface.Name, AgentInterface.GetDomain):
                return new BusBody("s", Find(call.Body.Get<string>(0)).ToJson());
            case ("" or AgentInterface.Name, AgentInterface.GetCurve):
                return new BusBody("s", Curve(Find(call.Body.Get<string>(0))).ToJson());
            case ("" or AgentInterface.Name, AgentInterface.GetDetail):
                DomainStatus shown = Find(call.Body.Get<string>(0));
                return new BusBody("s", _pictures.Detail(shown, _curve(shown.Key)).ToJson());
            case ("" or AgentInterface.Name, AgentInterface.GetHeat):
                return new BusBody("s", Heat(Find(call.Body.Get<string>(0)), call.Body.Get<uint>(1)).ToJson());
            case ("" or AgentInterface.Name, AgentInterface.GetEstimate):
                return new BusBody("s", _pictures.Estimate(_status()).ToJson());
            case ("" or AgentInterface.Name, AgentInterface.GetStatus):
                return new BusBody("s", Status().ToJson());
            case ("" or AgentInterface.Name, AgentInterface.Reload):
                RequireRoot(call);
                await ReloadAsync();
                return BusBody.Empty;
            case ("" or AgentInterface.Name, AgentInterface.Notify):
                RequireRoot(call);
                _hook.Notify(call.Body.Get<string>(1), call.Body.Get<string>(2));
                return BusBody.Empty;
            case ("" or AgentInterface.Name, AgentInterface.Admit):
                RequireRoot(call);
                string? refusal = _hook.Admit(call.Body.Get<string>(0), call.Body.Get<string>(1));
                // The name in front lets the hook tell a refusal from anything else, and a person where it comes from.
                return new BusBody("s", refusal is null ? "" : $"virttier: {refusal}");
            default:
                throw BusException.ForUnknownMethod(call);
        }
    }

    private AgentStatus Status()
    {
        AgentStatus status = _status();
        return status with { Libvirt = status.Libvirt with { HookCalls = _hook.Calls } };
    }

    private DomainStatus Find(string nameOrUuid)
    {
        try
        {
            return _status().Domains.Find(nameOrUuid);
        }
        catch (NotKnownException e)
        {
            throw new BusException(e.IsAmbiguous ? AgentInterface.AmbiguousDomain : AgentInterface.NoSuchDomain, e.Message);
        }
    }

    private DomainCurve Curve(DomainStatus domain) => _curve(domain.Key) is { } curve
        ? DomainCurve.Of(domain, curve)
        : throw new BusException(
            AgentInterface.NoCurve,
            $"too little is known of {domain.Name} yet: "
                + $"{domain.Reason ?? "two rounds (some seconds) after it was attached there is a curve"}");

    private DomainHeat Heat(DomainStatus domain, uint seconds) => _pictures.Heat(domain, TimeSpan.FromSeconds(seconds))
        ?? throw new BusException(
            AgentInterface.NoHeat,
            $"nothing was seen of {domain.Name} yet: {domain.Reason ?? "its sampler is being attached"}");

    private async Task ReloadAsync()
    {
        try
        {
            await _reload();
        }
        catch (ConfigException e)
        {
            throw new BusException(AgentInterface.BadConfiguration, e.Message);
        }
    }

    private Dictionary<string, object> AllProperties(string @interface)
    {
        if (@interface != AgentInterface.Name)
            return [];
        AgentStatus status = Status();
        return new()
        {
            ["Version"] = new Variant("s", status.Version),
            ["LibvirtConnected"] = new Variant("b", status.Libvirt.Connected),
            ["RunningDomains"] = new Variant("u", (uint)status.Domains.Count),
            ["HookCalls"] = new Variant("t", (ulong)status.Libvirt.HookCalls),
        };
    }

    private object Property(string @interface, string name) =>
        AllProperties(@interface).GetValueOrDefault(name)
        ?? throw new BusException(
            BusException.UnknownProperty,
            $"the interface {Shorten.ForMessage(@interface)} has no property {Shorten.ForMessage(name)}");

    // The bus's policy lets only root in; a bus with another policy must not open this door.
    private static void RequireRoot(BusMethodCall call)
    {
        if (call.SenderUid != 0)
            throw new BusException(BusException.AccessDenied, $"only root may call {call.Member}, not uid {call.SenderUid}");
    }
}
