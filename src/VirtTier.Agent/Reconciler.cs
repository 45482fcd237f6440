// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;
using VirtTier.Tiering.Budgets;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent;

/// <summary>
/// The reconciler: makes what is attached match what runs. Level-triggered: each pass compares whole pictures, so that it
/// does not matter which event was lost or came twice.
/// </summary>
internal sealed class Reconciler : IAsyncDisposable
{
    // Budgets of auto domains follow their use all the time; only what makes a difference is logged.
    private const double LeastAnnounced = 0.125;

    // A call to the kernel about a guest takes some tenths of a second at most.
    private static readonly TimeSpan s_detachPatience = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _reconciling = new(1);
    private readonly ILogger _log;
    private readonly Dictionary<DomainKey, DomainLoop> _loops = [];
    private readonly Dictionary<ProcessIdentity, Task> _leaving = []; // under _loops, as _loops
    private readonly Dictionary<DomainKey, DomainOrders> _announced = [];
    private readonly HashSet<(DomainKey Domain, ProcessIdentity? Process)> _oddTold = [];
    private readonly long _started;
    private volatile AgentConfig _config;
    private volatile DomainLoopContext _context;
    private DomainSnapshot? _snapshot;
    private volatile IReadOnlyList<DomainOrders> _orders = [];
    private LibvirtLink _link = LibvirtLink.Waiting("libvirt has not been asked yet");
    private bool _poolTooSmall;

    public Reconciler(AgentConfig config, DomainLoopContext context)
    {
        _config = config;
        _context = context;
        _log = context.Log;
        _started = context.Time.GetTimestamp();
    }

    /// <summary>Samplers attached, or being attached.</summary>
    public int Count
    {
        get
        {
            lock (_loops)
                return _loops.Count;
        }
    }

    /// <summary>Brings what is attached in line with the picture of the domains,
    /// and again each time that there is another one.</summary>
    /// <param name="nextPicture">Gives the newest picture as soon as its version is another one than that told.</param>
    /// <param name="reconciled">Told of each picture that was followed.</param>
    /// <param name="loop">Told of each picture, and while there is no new one.</param>
    /// <param name="stop">Ends it, with an <see cref="OperationCanceledException"/>.</param>
    public async Task ReconcileForeverAsync(
        Func<long, CancellationToken, Task<DomainSnapshot>> nextPicture, Action<DomainSnapshot> reconciled, WatchedLoop loop,
        CancellationToken stop)
    {
        // The version to begin with is that of no picture: the first one may be there already.
        for (long seen = -1; ;)
        {
            DomainSnapshot snapshot = await loop.IdleAsync(nextPicture(seen, stop));
            await ReconcileAsync(snapshot);
            reconciled(snapshot);
            seen = snapshot.Version;
            loop.Progress();
        }
    }

    /// <summary>Brings what is attached in line with a picture of the domains.</summary>
    public async Task ReconcileAsync(DomainSnapshot snapshot)
    {
        await _reconciling.WaitAsync();
        try
        {
            _snapshot = snapshot;
            Follow(snapshot);
        }
        finally
        {
            _reconciling.Release();
        }
    }

    /// <summary>Divides the pool anew by what the rounds have shown since the last time.</summary>
    public async Task DivideAgainAsync()
    {
        await _reconciling.WaitAsync();
        try
        {
            if (_snapshot is not null)
                Follow(_snapshot);
        }
        finally
        {
            _reconciling.Release();
        }
    }

    /// <summary>Goes on with another configuration. Guests keep their heat unless where or how they
    /// are sampled has changed.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="host">The host's memory under it.</param>
    public async Task ReconfigureAsync(AgentConfig config, HostMemory host)
    {
        await _reconciling.WaitAsync();
        try
        {
            Replace(config, _context with { Host = host, Sampling = config.Sampling });
        }
        finally
        {
            _reconciling.Release();
        }
    }

    /// <summary>Goes on with the host's memory as it is now, if that is different. Guests keep their heat.</summary>
    /// <param name="read">Gives the host's memory under the configuration that is in force.</param>
    /// <returns>The host's memory, or null if nothing has changed.</returns>
    /// <exception cref="ConfigException">It does not fit the configuration; nothing has changed.</exception>
    public async Task<HostMemory?> RefreshHostAsync(Func<AgentConfig, HostMemory> read)
    {
        await _reconciling.WaitAsync();
        try
        {
            HostMemory host = read(_config);
            if (host.IsSame(_context.Host))
                return null;
            _context.Scratch.Renew();
            Replace(_config, _context with { Host = host });
            return host;
        }
        finally
        {
            _reconciling.Release();
        }
    }

    private void Replace(AgentConfig config, DomainLoopContext context)
    {
        bool anew = !context.Host.HasSameTiers(_context.Host) || context.Sampling != _context.Sampling;
        (AgentConfig Config, DomainLoopContext Context) before = (_config, _context);
        (_config, _context) = (config, context);
        try
        {
            // Before a guest is touched: what cannot be counted with must leave the old configuration in force.
            if (_snapshot is not null)
                _ = Order(Sound(_snapshot.Domains));
        }
        catch
        {
            (_config, _context) = before;
            throw;
        }
        if (anew)
            DetachAll();
        if (_snapshot is not null)
            Follow(_snapshot);
    }

    /// <summary>What the pool is promised to, for admission control.</summary>
    public PoolPromises Promises() => new(
        _context.Host.PoolBytes,
        _orders.ToDictionary(o => o.Domain.Key, o => AdmissionControl.Promise(o.Settings, o.Domain.MemoryBytes)),
        _config);

    private void Follow(DomainSnapshot snapshot)
    {
        _link = snapshot.Link;
        _orders = Order(Sound(snapshot.Domains));

        Dictionary<DomainKey, DomainOrders> wanted = _orders
            .Where(o => o.Domain.Process is not null && o.Mode != TieringMode.Off)
            .ToDictionary(o => o.Domain.Key);
        lock (_loops)
        {
            foreach ((DomainKey key, DomainLoop loop) in _loops.ToArray())
            {
                if (wanted.TryGetValue(key, out DomainOrders? orders) && orders.Domain.Process == loop.Process
                    && !loop.HasEnded)
                    continue;
                Detach(key, loop);
            }
            foreach ((DomainKey key, DomainOrders orders) in wanted)
            {
                if (_loops.TryGetValue(key, out DomainLoop? loop))
                    loop.Update(orders);
                else
                {
                    ProcessIdentity process = orders.Domain.Process!.Value;
                    _loops[key] = new DomainLoop(
                        _context, process, orders, _leaving.GetValueOrDefault(process, Task.CompletedTask));
                }
            }
        }
        // Each time, not only when a domain goes: one that is being let go of saves its heat once more.
        if (snapshot.IsWhole)
        {
            RunningDomain[] tended = [.. _orders.Where(o => o.Mode != TieringMode.Off).Select(o => o.Domain)];
            _context.Heat.Keep(tended);
            _context.Records.Keep(tended);
        }
    }

    /// <summary>The domains that can be counted with: one that cannot is left alone, and said so once.</summary>
    private List<RunningDomain> Sound(IReadOnlyList<RunningDomain> running)
    {
        List<RunningDomain> sound = [];
        foreach (RunningDomain domain in running.DistinctBy(domain => domain.Key))
        {
            try
            {
                _ = BudgetDemands.Of(domain.Settings, domain.MemoryBytes, domain.UsableMemoryBytes);
                sound.Add(domain);
            }
            catch (Exception e) when (e is ArgumentException or ArithmeticException)
            {
                if (_oddTold.Add((domain.Key, domain.Process)))
                {
                    _log.HostProblem($"domain {domain.Key} is left alone: its memory or settings cannot be counted with "
                        + $"({Shorten.Sentence(e.Message)})");
                }
            }
        }
        return sound;
    }

    /// <summary>The picture of now.</summary>
    public AgentStatus Status()
    {
        List<DomainStatus> domains = [];
        bool rehomes = _context.Host.Rehomes;
        lock (_loops)
        {
            foreach (DomainOrders orders in _orders)
                domains.Add(_loops.TryGetValue(orders.Domain.Key, out DomainLoop? loop)
                    ? loop.Status
                    : orders.Status(DomainFigures.None));
        }
        return new AgentStatus(
            AgentVersion.Text,
            _context.Time.GetElapsedTime(_started).TotalSeconds,
            new LibvirtStatus(_link.Connected, _link.Reason) { Source = _snapshot?.Source?.ToKey() },
            _context.Host.Status(),
            _context.Host.PoolBytes,
            _context.Host.HasSlowTier ? domains
                : [.. domains.Select(domain => domain with { IsOnlyWatched = !rehomes, IsOnlyFollowed = rehomes })])
        {
            Rehomes = rehomes,
            Hung = _context.Loops.Hung,
            Loops = _context.Loops.Status(),
            Sources = [.. (_snapshot?.Others ?? []).Select(
                other => new SourceStatus(other.Source, other.Link.Connected, other.Link.Reason))],
        };
    }

    /// <summary>How a domain's slow accesses would fall with more DRAM; null while too little is known of it.</summary>
    public DramCurve? Curve(DomainKey domain)
    {
        lock (_loops)
            return _loops.TryGetValue(domain, out DomainLoop? loop) ? loop.Curve : null;
    }

    private Dictionary<int, double> HomeOf(DomainKey domain)
    {
        lock (_loops)
            return _loops.TryGetValue(domain, out DomainLoop? loop) ? loop.Home.ToDictionary(on => on.Node, on => on.Share) : [];
    }

    /// <summary>Detaches every sampler.</summary>
    public async ValueTask DisposeAsync()
    {
        DetachAll();
        Task[] leaving;
        lock (_loops)
            leaving = [.. _leaving.Values];
        try
        {
            // systemd would end one that hangs, too, and lose what the others have learned.
            await Task.WhenAll(leaving).WaitAsync(s_detachPatience, _context.Time);
        }
        catch (TimeoutException)
        {
            // Which of them is in the log.
        }
        _reconciling.Dispose();
    }

    private void DetachAll()
    {
        lock (_loops)
        {
            foreach ((DomainKey key, DomainLoop loop) in _loops.ToArray())
                Detach(key, loop);
        }
    }

    /// <summary>
    /// Begins to let go of a domain. Nobody waits for it but the next that attaches to the same process, of which another source
    /// may tell by now, and which takes up what was saved of it: one that cannot be let go of must not hold up the others.
    /// </summary>
    private void Detach(DomainKey key, DomainLoop loop)
    {
        foreach (ProcessIdentity gone in _leaving.Where(l => l.Value.IsCompleted).Select(l => l.Key).ToArray())
            _leaving.Remove(gone);
        _loops.Remove(key);
        Task end = loop.DisposeAsync().AsTask();
        _ = TellIfStuckAsync(loop, end);
        _leaving[loop.Process] = Task.WhenAll(_leaving.GetValueOrDefault(loop.Process, Task.CompletedTask), end);
    }

    private async Task TellIfStuckAsync(DomainLoop loop, Task end)
    {
        try
        {
            await end.WaitAsync(s_detachPatience, _context.Time);
        }
        catch (TimeoutException)
        {
            _log.DetachStuck(loop.Status.Key, loop.Process.Pid);
        }
    }

    private List<DomainOrders> Order(IReadOnlyList<RunningDomain> running)
    {
        Dictionary<DomainKey, long> previous = _orders.ToDictionary(o => o.Domain.Key, o => o.BudgetPages);
        (RunningDomain Domain, EffectiveSettings Effective, BudgetDemand Demand)[] domains = [.. running.Select(d =>
        {
            EffectiveSettings effective = EffectiveSettings.Of(d, _config);
            return (d, effective, BudgetDemands.Of(effective.Settings, d.MemoryBytes, d.UsableMemoryBytes) with
            {
                Curve = Curve(d.Key),
                Previous = previous.GetValueOrDefault(d.Key),
            });
        })];
        // Only enforced domains draw on the pool; the others are shown the budget that they would have had alone.
        var enforced = domains.Where(d => d.Effective.Settings.Mode is null or TieringMode.Enforce).ToArray();
        long poolPages = _context.Host.PoolBytes / PageSizes.PageBytes;
        long[] divided = NodePools.Divide(
            [.. enforced.Select(d => d.Demand)], [.. enforced.Select(d => HomeOf(d.Domain.Key))],
            _context.Host.FastNodes.ToDictionary(node => node, node => _context.Host.PoolBytesOf(node) / PageSizes.PageBytes),
            out bool enough);
        if (!enough && !_poolTooSmall)
            _log.HostProblem(
                $"the budgets of all domains together exceed the pool of {Sizes.Show(_context.Host.PoolBytes)} (pool.dram): "
                    + "each gets the same fraction of its own");
        _poolTooSmall = !enough;

        Dictionary<DomainKey, long> budgets = enforced.Zip(divided).ToDictionary(e => e.First.Domain.Key, e => e.Second);
        List<DomainOrders> orders = [];
        foreach ((RunningDomain domain, EffectiveSettings effective, BudgetDemand demand) in domains)
        {
            TieringSettings settings = effective.Settings;
            if (!budgets.TryGetValue(domain.Key, out long budget))
                budget = PoolDivider.Divide([demand], poolPages, out _)[0];
            ByteRate rate = settings.Rate ?? _config.DomainRate;
            DomainOrders order = new(domain, settings, budget,
                new MoveLimits((long)rate.BytesPerSecond, _config.MoveCpuShare, (settings.Split ?? _config.Split).Share))
            {
                Origins = effective.Origins,
                CarriesHeat = _config.LibvirtSource is LibvirtSource.Auto or LibvirtSource.DBus ? _config.CarryHeat : null,
            };
            orders.Add(order);
            Announce(order);
        }
        foreach (DomainKey gone in _announced.Keys.Except(running.Select(d => d.Key)).ToArray())
            _announced.Remove(gone);
        return orders;
    }

    private void Announce(DomainOrders orders)
    {
        if (_announced.TryGetValue(orders.Domain.Key, out DomainOrders? before)
            && before.Settings == orders.Settings
            && Math.Abs(orders.BudgetPages - before.BudgetPages) <= before.BudgetPages * LeastAnnounced)
            return;
        _announced[orders.Domain.Key] = orders;
        _log.BudgetSet(orders.Domain.Key, Sizes.Show(orders.BudgetPages * PageSizes.PageBytes), orders.Mode.ToString());
    }
}
