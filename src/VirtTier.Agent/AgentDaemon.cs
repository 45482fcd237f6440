// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Systemd;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Sampling;
using VirtTier.Memory.Splitting;

namespace VirtTier.Agent;

/// <summary>Puts the parts together and runs them until told to stop.</summary>
internal static class AgentDaemon
{
    // A few rounds: budgets follow what rounds have shown, and a domain needs some to fill what it was given.
    private static readonly TimeSpan s_division = TimeSpan.FromSeconds(5);

    /// <param name="configPath">The configuration file, which a reload reads again.</param>
    /// <param name="config">What it says now.</param>
    /// <param name="logs">Where log lines go.</param>
    /// <param name="stop">SIGTERM or SIGINT: detaches every sampler and returns.</param>
    /// <exception cref="ConfigException">The configuration does not fit the host.</exception>
    /// <exception cref="InvalidOperationException">A loop of the agent ended by itself.</exception>
    public static async Task RunAsync(string configPath, AgentConfig config, ILoggerFactory logs, CancellationToken stop)
    {
        TimeProvider time = TimeProvider.System;
        DomainEvents log = new(logs.CreateLogger("virttier"), time);
        LoopWatch loops = new(time, log);
        HostMemory host = HostMemory.Read(config, NumaTopology.Read());
        LinuxNumaCalls numaCalls = new();
        PageMover mover = new(numaCalls, new PageMoverOptions { BytesPerSecond = (long)config.HostRate.BytesPerSecond }, time);
        await using SystemBus bus = new(logs.CreateLogger<SystemBus>());
        using HeatCarrier carrier = new(bus);
        DomainLoopContext context = new(
            host,
            new KvmSamplerFactory(),
            mover,
            new PageExchange(mover),
            new RoundScratchPool(() => new ResidencyReader(numaCalls)),
            config.Sampling,
            new HeatStore(Path.Combine(ServiceDirectory.State, "heat"), log),
            new GuestRecords(new HeatStore(Path.Combine(ServiceDirectory.State, "pictures"), log), time, log),
            loops,
            time,
            log)
        {
            HugePages = new LinuxHugePages(),
            Elsewhere = new MovesElsewhere(mover, time),
            Carrier = carrier,
        };

        using LinuxProcesses processes = new();
        SettingsStore settings = new(ServiceDirectory.State, log);
        using WatchedLoop watching = loops.Add("watching domains", LoopWatch.UsualLimit);
        DomainMonitorOptions options =
            new()
            {
                Source = config.LibvirtSource,
                Heartbeat = config.Heartbeat,
                LastGoodSettings = settings.Load(),
                Progress = watching.Progress,
            };
        using DomainMonitor monitor = new(bus, processes, options, time, logs.CreateLogger<DomainMonitor>());
        using HostDomains domains = new(
            monitor, processes, config.Sources, options with { Progress = () => { } }, time, logs.CreateLogger<DomainMonitor>());
        await using Reconciler reconciler = new(config, context);
        using HookDirectory? hookDirectory = HookDirectory.Create(HookDirectory.RuntimeDirectory, out string? hookProblem);
        using HookListener hook = new(new AdmissionControl(reconciler.Promises, time), monitor.Wake, time, log);
        DomainPictures pictures = new(context.Records, log, time) { DramCost = config.DramCost };
        using ConfigReload reload = new(configPath, Apply, loops, log);
        using AgentObject agentObject = new(bus, reconciler.Status, reconciler.Curve, pictures, hook, reload.RunAsync);

        async Task Apply(AgentConfig fresh)
        {
            HostMemory memory = HostMemory.Read(fresh, NumaTopology.Read());
            await reconciler.ReconfigureAsync(fresh, memory); // first: it is the one that can refuse
            mover.Rate.PerSecond = (long)fresh.HostRate.BytesPerSecond;
            monitor.Heartbeat = fresh.Heartbeat;
            pictures.DramCost = fresh.DramCost;
            monitor.Source = fresh.LibvirtSource;
            monitor.Wake();
            domains.Heartbeat = fresh.Heartbeat;
            domains.Sources = fresh.Sources;
            TellHook(fresh);
        }

        void TellHook(AgentConfig current)
        {
            if (hookDirectory?.SetAdmissionControl(current.AdmissionControl) is { } problem)
                log.HostProblem(problem);
        }

        IReadOnlyList<TierStatus> tiers = host.Status();
        log.Started(AgentVersion.Text, string.Join(',', tiers[0].Nodes), string.Join(',', tiers.Skip(1).SelectMany(t => t.Nodes)),
            Sizes.Show(host.PoolBytes));
        if (config.IsEmptyFile)
            log.ConfigEmpty(configPath);
        if (!host.HasSlowTier)
            log.OneTier(host.OneTierNote);
        foreach (string warning in config.Warnings)
            log.HostProblem(warning);
        foreach (string assumption in host.Assumptions)
            log.HostProblem(assumption);
        if (hookProblem is not null)
            log.HostProblem(hookProblem);
        ServiceManager.Ready("watching libvirt");
        try
        {
            TellHook(config);
            using WatchedLoop elsewhere = loops.Add("watching other sources of domains", LoopWatch.UsualLimit);
            using WatchedLoop following = loops.Add("following domains", LoopWatch.UsualLimit);
            using WatchedLoop dividing = loops.Add("dividing the pool", LoopWatch.UsualLimit);
            using WatchedLoop memory = loops.Add("watching the host's memory", LoopWatch.UsualLimit);
            using WatchedLoop answering = loops.Add("answering on D-Bus", LoopWatch.UsualLimit);
            using WatchedLoop proving = loops.Add("proving life", LoopWatch.UsualLimit);
            await AgentLoops.RunAsync(stop,
                (watching, monitor.RunAsync),
                // One that hangs is said in the status; it is no reason to begin anew with all the others.
                (elsewhere, token => elsewhere.IdleAsync(RunAsync(domains, token))),
                (following,
                    token => reconciler.ReconcileForeverAsync(domains.WaitForChangeAsync, settings.Save, following, token)),
                (dividing, token => DivideForeverAsync(reconciler, dividing, time, token)),
                (memory, token => new HostWatch(reconciler, () => NumaTopology.Read(), time, log).RunAsync(memory, token)),
                (answering, token => BusWatch.RunAsync(bus, answering, time, token)),
                (proving, token => ProveLifeForeverAsync(reconciler, loops, proving, time, token)));
        }
        catch (OperationCanceledException)
        {
            ServiceManager.Stopping();
        }
        log.Stopped(reconciler.Count);
    }

    private static async Task<bool> RunAsync(HostDomains domains, CancellationToken stop)
    {
        await domains.RunOthersAsync(stop);
        return true;
    }

    private static async Task DivideForeverAsync(
        Reconciler reconciler, WatchedLoop loop, TimeProvider time, CancellationToken stop)
    {
        using PeriodicTimer timer = new(s_division, time);
        while (await timer.WaitForNextTickAsync(stop))
        {
            await reconciler.DivideAgainAsync();
            loop.Progress();
        }
    }

    private static async Task ProveLifeForeverAsync(
        Reconciler reconciler, LoopWatch loops, WatchedLoop loop, TimeProvider time, CancellationToken stop)
    {
        using PeriodicTimer timer = new(LoopWatch.Interval, time);
        do
        {
            ServiceManager.Alive($"{reconciler.Count} domains attached", loops.Look());
            loop.Progress();
        }
        while (await timer.WaitForNextTickAsync(stop));
    }
}
