// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.DBus;

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
    public async Task<AgentStatus> GetStatusAsync(CancellationToken cancel)
    {
        try
        {
            return AgentStatus.FromJson((await CallAsync(AgentInterface.GetStatus, BusBody.Empty, cancel)).Get<string>(0));
        }
        catch (BusException e)
        {
            throw Unreachable(e, RightToAsk);
        }
    }

    /// <summary>How a domain's slow accesses would fall with more DRAM.</summary>
    /// <param name="nameOrUuid">The domain.</param>
    /// <param name="cancel">Ends the wait.</param>
    /// <exception cref="AgentUnreachableException">The agent does not answer; the message says what to do.</exception>
    /// <exception cref="NoCurveException">There is no such domain, or too little is known of it;
    /// the message says which.</exception>
    public async Task<DomainCurve> GetCurveAsync(string nameOrUuid, CancellationToken cancel)
    {
        try
        {
            return DomainCurve.FromJson(
                (await CallAsync(AgentInterface.GetCurve, new BusBody("s", nameOrUuid), cancel)).Get<string>(0));
        }
        catch (BusException e) when (e.ErrorName is AgentInterface.NoSuchDomain or AgentInterface.NoCurve)
        {
            throw new NoCurveException(e.Message, e);
        }
        catch (BusException e)
        {
            throw Unreachable(e, RightToAsk);
        }
    }

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

/// <summary>The agent has no curve of a domain; the message says why.</summary>
internal sealed class NoCurveException(string message, Exception inner) : Exception(message, inner);
