// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests.Host;

/// <summary>The agent's loops at work on a private host: the monitor, and the reconciler over a
/// <see cref="StandInKernel"/>.</summary>
internal sealed class TieredHost : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _follow;
    private readonly HeatCarrier _carrier;

    private TieredHost(WatchedHost watched, StandInKernel kernel, TimeSpan interval, TimeSpan? carry)
    {
        Watched = watched;
        _carrier = new HeatCarrier(Watched.Bus);
        DomainLoopContext context = kernel.Context(interval, Watched.Log) with
        {
            Carrier = carry is null ? null : _carrier,
            CarryInterval = carry ?? default,
        };
        Reconciler = new Reconciler(new AgentConfig(), context);
        _follow = Reconciler.ReconcileForeverAsync(
            Watched.Monitor.WaitForChangeAsync, _ => { },
            context.Loops.Add("following domains", LoopWatch.UsualLimit), _stop.Token);
    }

    internal WatchedHost Watched { get; }

    internal Reconciler Reconciler { get; }

    /// <param name="host">Where to look for domains.</param>
    /// <param name="kernel">What their samplers are opened in.</param>
    /// <param name="interval">Time between two harvests.</param>
    /// <param name="source">How domains are learned of.</param>
    /// <param name="carry">Time between two times that heat is given to libvirt; null for never.</param>
    internal static TieredHost Of(
        PrivateHost host, StandInKernel kernel, TimeSpan interval, LibvirtSource source = LibvirtSource.DBus,
        TimeSpan? carry = null) => new(WatchedHost.Of(host, source), kernel, interval, carry);

    public override string ToString() => $"{Reconciler.Status().ToJson()} {Watched}";

    /// <summary>Stops as the agent does: detaches every sampler.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _follow);
        await Reconciler.DisposeAsync();
        _carrier.Dispose();
        await Watched.DisposeAsync();
        _stop.Dispose();
    }
}
