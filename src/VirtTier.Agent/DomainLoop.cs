// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Processes;
using VirtTier.Memory;
using VirtTier.Memory.Sampling;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent;

/// <summary>
/// Tiers one domain: attaches the sampler to its QEMU process, harvests accessed bits into heat, once a round moves what
/// the planner asks for, demotions first, and rests while nothing changes. One object, one loop, for one life of one process; it
/// ends when the process does or when it is disposed, and lets go of the sampler in both cases.
/// </summary>
internal sealed class DomainLoop : IAsyncDisposable
{
    // Heat is worth saving after some rounds, and again after a minute, and saving it at most a hundredth of the time.
    private static readonly TimeSpan s_firstSave = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_saveInterval = TimeSpan.FromMinutes(1);
    private const int SaveRarity = 100;

    // Of a step over the whole guest a GiB takes milliseconds; a busy machine may take a hundred times as long.
    private static readonly TimeSpan s_limitPerGiB = TimeSpan.FromSeconds(1);

    private readonly DomainLoopContext _context;
    private readonly ProcessIdentity _process;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _changed = new(0, 1);
    private readonly WatchedLoop _progress;
    private readonly HeatTravel _travel;
    private readonly Task _loop;
    private volatile DomainOrders _orders;
    private volatile CancellationTokenSource _pause = new(); // cancelled while the orders are to pause
    private volatile DomainReport _report = DomainReport.Attaching; // of the loop; read by anybody

    /// <param name="context">What all domains share.</param>
    /// <param name="process">The domain's QEMU process.</param>
    /// <param name="orders">What to do; see <see cref="Update"/>.</param>
    /// <param name="before">Ends when whoever had the domain before has let go of it: then it is attached to.
    /// Null for nobody.</param>
    public DomainLoop(DomainLoopContext context, ProcessIdentity process, DomainOrders orders, Task? before = null)
    {
        _context = context;
        _process = process;
        _orders = orders;
        _log = context.Log;
        _progress = context.Loops.Add(
            $"tiering domain {orders.Domain.Key}",
            LoopWatch.UsualLimit + s_limitPerGiB * (orders.Domain.MemoryBytes / (double)(1 << 30)));
        _travel = new HeatTravel(context);
        _loop = Task.Run(() => RunAsync(before ?? Task.CompletedTask));
    }

    /// <summary>The process that this object is about.</summary>
    public ProcessIdentity Process => _process;

    /// <summary>Whether the loop has ended by itself: the process has, or was thought to have, which the picture of the domains
    /// knows better.</summary>
    public bool HasEnded => _loop.IsCompleted;

    /// <summary>How the domain's slow accesses would fall with more DRAM; null while nothing is known.</summary>
    public DramCurve? Curve => _report.Curve;

    /// <summary>The share of the domain that is at home on each fast node; none while that is not known.</summary>
    public IReadOnlyList<NodeShare> Home => _report.Figures.Home;

    /// <summary>Takes the newest picture of the domain and its budget. A loop that rests is woken if anything is to be done
    /// otherwise, and moves under way end when the guest pauses. One thread at a time may call it.</summary>
    public void Update(DomainOrders orders)
    {
        DomainOrders before = _orders;
        _orders = orders;
        if (orders.IsPaused)
            _ = _pause.CancelAsync(); // what waits for it goes on on a thread of its own
        else if (_pause.IsCancellationRequested)
            _pause = new();
        if ((before.BudgetPages, before.Mode, before.IsPaused) != (orders.BudgetPages, orders.Mode, orders.IsPaused)
            && _changed.CurrentCount == 0)
            _changed.Release();
    }

    /// <summary>The domain as people see it now.</summary>
    public DomainStatus Status
    {
        get
        {
            DomainReport report = _report;
            return _orders.Status(report.Figures) with { Pid = _process.Pid, State = report.State, Reason = report.Reason };
        }
    }

    /// <summary>Lets go of the guest: the loop ends after the call to the kernel that is under way.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        _stop.Dispose();
        _changed.Dispose();
    }

    private async Task RunAsync(Task before)
    {
        using WatchedLoop progress = _progress;
        ResiliencePipeline retry = NewRetry();
        try
        {
            await before.WaitAsync(_stop.Token);
            await retry.ExecuteAsync(async token =>
            {
                _progress.Progress();
                using IGuestSampler sampler = _context.Samplers.Attach(_process.Pid);
                // A pid may have been taken over between libvirt's word and the attach; its start time cannot.
                if (ProcessFacts.ReadStartTime(_process.Pid) != _process.StartTime)
                    throw new GuestMemoryException(GuestMemoryError.ProcessGone, $"process {_process.Pid} has ended");
                await TierAsync(sampler, token);
            }, _stop.Token);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Disposed.
        }
        catch (GuestMemoryException e) when (e.Kind == GuestMemoryError.ProcessGone)
        {
            // The reconciler hears of it on its own.
        }
#pragma warning disable CA1031 // whatever it is, it must not reach the others through the reconciler
        catch (Exception e)
#pragma warning restore CA1031
        {
            _log.Failed(e, _orders.Domain.Key);
        }
        _log.Detached(_orders.Domain.Key);
    }

    /// <summary>Whatever goes wrong is tried again, sooner or later by its kind; only the end of the process is final.</summary>
    private ResiliencePipeline NewRetry() => new ResiliencePipelineBuilder { TimeProvider = _context.Time }
        .AddRetry(new RetryStrategyOptions
        {
            ShouldHandle = args => ValueTask.FromResult(!_stop.IsCancellationRequested
                && args.Outcome.Exception is not (null or GuestMemoryException { Kind: GuestMemoryError.ProcessGone })),
            MaxRetryAttempts = int.MaxValue,
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
            Delay = TimeSpan.FromMilliseconds(200),
            MaxDelay = TimeSpan.FromSeconds(15),
            OnRetry = args =>
            {
                Wait(args.Outcome.Exception!);
                return ValueTask.CompletedTask;
            },
        })
        .Build();

    private void Wait(Exception exception)
    {
        string reason = Reasons.Failure(exception);
        if (exception is not GuestMemoryException)
            _log.Failed(exception, _orders.Domain.Key);
        // Said once: the reason changes only when something else goes wrong.
        else if (reason != _report.Reason)
            _log.Waiting(_orders.Domain.Key, reason);
        _report = _report with { State = TieringState.Attaching, Reason = reason };
    }

    private async Task TierAsync(IGuestSampler sampler, CancellationToken stop)
    {
        AttachedGuest guest = new(_process, sampler, _context, _progress.Progress);
        _log.Attached(_orders.Domain.Key, _process.Pid, Sizes.Show((long)_orders.Domain.MemoryBytes));
        RestoreHeat(guest);
        _travel.Arrive(_orders.Domain, guest);
        guest.Look();
        try
        {
            await TierAsync(guest, stop);
        }
        catch (Exception e) when (e is not GuestMemoryException { Kind: GuestMemoryError.ProcessGone })
        {
            SaveHeat(guest);
            throw;
        }
    }

    private async Task TierAsync(AttachedGuest guest, CancellationToken stop)
    {
        SamplingPace sampling = _context.Sampling;
        RoundPacer pacer = new(sampling.Round, sampling.LongestRound, sampling.CpuShare);
        long saved = _context.Time.GetTimestamp();
        TimeSpan saveInterval = s_firstSave;
        int harvests = 0;
        bool watching = false;
        bool rested = false; // undisturbed, until the next harvest
        int glances = 0; // of this interval
        TimeSpan? glance = null; // when the next one is due, after the interval began
        for (;; glance = NextGlance(), await WaitForHarvestAsync(guest, glance ?? sampling.Interval, stop))
        {
            _progress.Progress();
            DomainOrders orders = _orders;
            if (orders.IsPaused || guest.IsDirtyLogging())
            {
                // Heat and placement stay as they are until the guest runs again.
                Publish(guest, TieringState.Paused, Reasons.Paused(orders.Domain));
                guest.StopSampling();
                watching = rested = false;
                if (_travel.HasArrived && orders.Domain.State == DomainState.Paused)
                    await guest.DemoteBeforeItRunsAsync(orders, stop);
                await Task.Delay(sampling.Interval, _context.Time, stop);
                continue;
            }
            if (_report.State is TieringState.Attaching or TieringState.Paused)
                PublishWork(guest);
            bool harvest = watching;
            bool isGlance = glance is not null;
            bool passed = false;
            watching = isGlance ? guest.Glance()
                : harvest ? guest.Harvest(rested && pacer.MayPass, orders, out passed)
                : guest.BeginWatching();
            if (!watching)
            {
                _log.LayoutChanged(orders.Domain.Key);
                rested = false;
            }
            else if (!harvest)
            {
                _travel.Begin(orders.Domain, guest);
            }
            glances = isGlance ? glances + 1 : 0;
            if (!harvest || !watching || isGlance)
                continue;
            rested = false;
            if (passed)
            {
                pacer.Pass();
                guest.Pass(pacer);
                PublishWork(guest);
                rested = await RestAsync(pacer.Interval - sampling.Interval, stop);
                watching = false;
                continue;
            }
            if (++harvests % sampling.HarvestsPerRound != 0)
            {
                using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(stop, _pause.Token);
                if (await guest.RestoreHeadroomAsync(orders, end.Token))
                {
                    PublishWork(guest);
                    watching = guest.SinceHarvest < sampling.Interval;
                }
                continue;
            }

            await RoundAsync(guest, orders, pacer, stop);
            _travel.EndRound(orders, guest);
            if (_context.Time.GetElapsedTime(saved) >= saveInterval)
            {
                saveInterval = SaveHeat(guest) * SaveRarity;
                saveInterval = saveInterval > s_saveInterval ? saveInterval : s_saveInterval;
                saved = _context.Time.GetTimestamp();
            }
            rested = await RestAsync(pacer.Interval - sampling.Round, stop);
            // What was accessed in a rest, or in a round with many moves, was accessed in much longer than an interval.
            watching = guest.SinceHarvest < sampling.Interval;
        }

        // All in one interval, so that a round's harvests look equally long; not in the first, where moves may still go on. What
        // is due before the last harvest has ended, as of a large guest, is left out.
        TimeSpan? NextGlance()
        {
            int second = Math.Min(1, sampling.HarvestsPerRound - 1);
            if (!watching || harvests % sampling.HarvestsPerRound != second || !guest.WantsGlances)
                return null;
            while (sampling.GlanceAfter(glances) <= guest.SinceHarvest)
                glances++;
            return sampling.GlanceAfter(glances);
        }
    }

    private async Task RoundAsync(AttachedGuest guest, DomainOrders orders, RoundPacer pacer, CancellationToken stop)
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(stop, _pause.Token);
        guest.Decide(orders, pacer);
        PublishWork(guest); // moves take their time
        await guest.MoveAsync(orders, end.Token);
        PublishWork(guest);
        DomainFigures figures = guest.Figures;
        _log.Round(orders.Domain.Key, figures.Rounds, Sizes.Show(figures.FastBytes), Sizes.Show(figures.SlowBytes),
            Sizes.Show(figures.HotBytes), figures.PromotedPages, figures.DemotedPages);
    }

    private async Task WaitForHarvestAsync(AttachedGuest guest, TimeSpan due, CancellationToken stop)
    {
        TimeSpan left = due - guest.SinceHarvest;
        if (left > TimeSpan.Zero)
            await Task.Delay(left, _context.Time, stop);
        stop.ThrowIfCancellationRequested();
    }

    /// <returns>False if it ended early, or did not take place, so that there is something to be done otherwise.</returns>
    private async Task<bool> RestAsync(TimeSpan time, CancellationToken stop)
    {
        if (time <= TimeSpan.Zero)
            return false;
        using CancellationTokenSource awake = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task rest = Task.Delay(time, _context.Time, awake.Token);
        Task ended = await _progress.IdleAsync(Task.WhenAny(rest, _changed.WaitAsync(awake.Token)));
        await awake.CancelAsync();
        stop.ThrowIfCancellationRequested();
        return ended == rest;
    }

    private void RestoreHeat(AttachedGuest guest)
    {
        Guid domain = _orders.Domain.Uuid;
        _context.Records.Restore(domain, _process);
        if (_context.Heat.Load(domain, _process, guest.PageCount) is not { } state)
            return;
        if (guest.RestoreHeat(state) is { } refusal)
            _log.HeatRefused(_orders.Domain.Key, _context.Heat.FileOf(domain, _process), refusal);
        else
            _log.HeatRestored(_orders.Domain.Key, guest.HeatRounds);
    }

    /// <returns>How long it took.</returns>
    private TimeSpan SaveHeat(AttachedGuest guest)
    {
        long start = _context.Time.GetTimestamp();
        _context.Records.Save(_orders.Domain.Uuid, _process);
        // What was learned in no round is not worth the place of what may have been saved before.
        if (guest.HeatRounds > 0)
            _context.Heat.Save(_orders.Domain.Uuid, _process, guest.SaveHeat());
        return _context.Time.GetElapsedTime(start);
    }

    private void PublishWork(AttachedGuest guest)
    {
        if (guest.RunsUnseenGuests)
            Publish(guest, TieringState.Observing, Reasons.RunsUnseenGuests(_orders.Domain));
        else if (guest.IsConfidential)
            Publish(guest, TieringState.Observing, Reasons.IsConfidential(_orders.Domain));
        else
            Publish(guest, TieringState.Tiering, guest.Problem);
    }

    private void Publish(AttachedGuest guest, TieringState state, string? reason)
    {
        TieringState before = _report.State;
        _report = new DomainReport(state, reason, guest.Figures, guest.Curve ?? _report.Curve);
        if (state == before)
            return;
        if (state == TieringState.Observing)
            _log.Waiting(_orders.Domain.Key, reason!);
        else
            _log.StateChanged(_orders.Domain.Key, state);
    }
}
