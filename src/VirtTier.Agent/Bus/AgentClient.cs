// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.DBus;
using VirtTier.Primitives;

namespace VirtTier.Agent.Bus;

/// <summary>The agent as the command-line tool sees it.</summary>
internal sealed class AgentClient(IBus bus) : IAsyncDisposable
{
    private const string RightToAsk = "be root or a member of the group libvirt";

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);

    /// <summary>The agent on the system bus.</summary>
    public static AgentClient Connect() => new(new SystemBus(NullLogger.Instance));

    /// <summary>Closes the connection.</summary>
    public ValueTask DisposeAsync() => bus.DisposeAsync();

    /// <summary>Everything that it knows.</summary>
    /// <exception cref="AgentUnreachableException">The agent does not answer; the message says what to do.</exception>
    public async Task<AgentStatus> GetStatusAsync(CancellationToken cancel) =>
        await AskAsync(AgentInterface.GetStatus, BusBody.Empty, AgentStatus.FromJson, cancel);

    /// <summary>How much DRAM the running domains would need.</summary>
    /// <exception cref="AgentUnreachableException">The agent does not answer; the message says what to do.</exception>
    public async Task<HostEstimate> GetEstimateAsync(CancellationToken cancel) =>
        await AskAsync(AgentInterface.GetEstimate, BusBody.Empty, HostEstimate.FromJson, cancel);

    /// <summary>All that is known of a domain.</summary>
    /// <exception cref="AgentUnreachableException">The agent does not answer; the message says what to do.</exception>
    /// <exception cref="NotKnownException">There is no such domain.</exception>
    public async Task<DomainDetail> GetDetailAsync(string nameOrUuid, CancellationToken cancel) =>
        await AskAsync(AgentInterface.GetDetail, new BusBody("s", nameOrUuid), DomainDetail.FromJson, cancel);

    /// <summary>Where a domain accessed its memory in the last while, and when.</summary>
    /// <exception cref="AgentUnreachableException">The agent does not answer; the message says what to do.</exception>
    /// <exception cref="NotKnownException">There is no such domain, or nothing was seen of it.</exception>
    public async Task<DomainHeat> GetHeatAsync(string nameOrUuid, TimeSpan last, CancellationToken cancel) =>
        await AskAsync(
            AgentInterface.GetHeat, new BusBody("su", nameOrUuid, (uint)last.TotalSeconds), DomainHeat.FromJson, cancel);

    /// <summary>How a domain's slow accesses would fall with more DRAM.</summary>
    /// <param name="nameOrUuid">The domain.</param>
    /// <param name="cancel">Ends the wait.</param>
    /// <exception cref="AgentUnreachableException">The agent does not answer; the message says what to do.</exception>
    /// <exception cref="NotKnownException">There is no such domain, or too little is known of it;
    /// the message says which.</exception>
    public async Task<DomainCurve> GetCurveAsync(string nameOrUuid, CancellationToken cancel) =>
        await AskAsync(AgentInterface.GetCurve, new BusBody("s", nameOrUuid), DomainCurve.FromJson, cancel);

    /// <summary>Has it read its configuration again.</summary>
    /// <exception cref="AgentUnreachableException">The agent does not answer; the message says what to do.</exception>
    /// <exception cref="ConfigException">The configuration cannot be used; the old one stays in force.</exception>
    public async Task ReloadAsync(CancellationToken cancel)
    {
        try
        {
            await CallAsync(AgentInterface.Reload, BusBody.Empty, cancel);
        }
        catch (BusException e) when (e.ErrorName == AgentInterface.BadConfiguration)
        {
            throw new ConfigException(e.Message, e);
        }
        catch (BusException e)
        {
            throw Unreachable(e, "be root");
        }
    }

    private async Task<T> AskAsync<T>(string member, BusBody arguments, Func<string, T> read, CancellationToken cancel)
    {
        try
        {
            return read((await CallAsync(member, arguments, cancel)).Get<string>(0));
        }
        catch (JsonException e)
        {
            throw new AgentUnreachableException(
                "the agent's answer cannot be read: is it of another version than this program? "
                    + $"(systemctl restart virttier; {Shorten.Sentence(e.Message)})", e);
        }
        catch (BusException e) when (
            e.ErrorName is AgentInterface.NoSuchDomain or AgentInterface.AmbiguousDomain or AgentInterface.NoCurve
                or AgentInterface.NoHeat)
        {
            throw new NotKnownException(e.Message, e);
        }
        catch (BusException e)
        {
            throw Unreachable(e, RightToAsk);
        }
    }

    private Task<BusBody> CallAsync(string member, BusBody arguments, CancellationToken cancel) => bus.CallAsync(
        new BusCall(AgentInterface.Name, AgentInterface.Path, AgentInterface.Name, member, arguments, s_timeout), cancel);

    private static AgentUnreachableException Unreachable(BusException e, string right) => new(e.ErrorName switch
    {
        BusException.ServiceUnknown => "the agent is not running; start it with: systemctl start virttier",
        BusException.AccessDenied => $"you may not ask the agent; {right}",
        BusException.NoReply => $"the agent did not answer within {s_timeout.TotalSeconds:0} s; see: journalctl -u virttier",
        _ => $"the agent cannot be reached: {e.Message}",
    }, e);
}

/// <summary>The agent does not answer; the message says why and what to do.</summary>
internal sealed class AgentUnreachableException(string message, Exception inner) : Exception(message, inner);
