// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Libvirt.Domains;

/// <summary>
/// Keeps the picture of the host's running domains. One pass at a time builds it from what libvirt, machined and the kernel
/// say at that moment; signals, pid files, ending processes and <see cref="Wake"/> are hints to make the next pass sooner
/// or to read a domain again. A lost hint therefore costs a delay of at most a heartbeat, and never a domain. The picture never
/// goes back:
/// what an event, or the end of a process, has shown to be over is not taken up again from an answer that was late.
/// </summary>
public sealed class DomainMonitor : IDisposable
{
    // How long an idle monitor may say nothing of its progress.
    private static readonly TimeSpan s_longestSilence = TimeSpan.FromSeconds(15);

    private readonly DomainMonitorOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly PendingWork _work = new();
    private readonly IDomainSource _source;
    private readonly ChosenSource? _libvirt; // the same, where it is libvirt's
    private readonly Lock _publishing = new();
    private volatile DomainSnapshot _current = new(0, LibvirtLink.Waiting("libvirt has not been asked yet"), []);
    private TaskCompletionSource _changed = NewSignal();

    /// <summary>Subscribes to the hints; <see cref="RunAsync"/> then does the work.</summary>
    /// <param name="bus">The system bus. It stays the caller's.</param>
    /// <param name="processes">The host's processes. They stay the caller's.</param>
    /// <param name="options">Where and how often to look.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Gets a line for each change that matters, once.</param>
    public DomainMonitor(
        IBus bus, IHostProcesses processes, DomainMonitorOptions options, TimeProvider time, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(bus);
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        Heartbeat = options.Heartbeat;
        _time = time;
        _logger = logger;
        _source = _libvirt = new(
            new DBusSource(bus, processes, _work, options, time, logger), new FileSource(processes, _work, options, logger))
        {
            Asked = options.Source,
        };
    }

    /// <summary>The same for another source.</summary>
    internal DomainMonitor(
        Func<PendingWork, IDomainSource> source, DomainMonitorOptions options, TimeProvider time, ILogger logger)
    {
        _options = options;
        Heartbeat = options.Heartbeat;
        _time = time;
        _logger = logger;
        _source = source(_work);
        _current = new(0, LibvirtLink.Waiting($"{_source.Name} has not been looked at yet"), []);
    }

    /// <summary>The source's name.</summary>
    internal string Name => _source.Name;

    /// <summary>Whether the configuration asks for the source.</summary>
    internal bool IsAsked => _source.IsAsked;

    /// <summary>How often to look without any hint; begins as <see cref="DomainMonitorOptions.Heartbeat"/>.</summary>
    public TimeSpan Heartbeat { get; set; }

    /// <summary>How libvirt's domains are learned of, from the next look on; begins as
    /// <see cref="DomainMonitorOptions.Source"/>.</summary>
    public LibvirtSource Source
    {
        get => _libvirt?.Asked ?? LibvirtSource.Off;
        set => _libvirt?.Asked = value;
    }

    /// <summary>The newest picture.</summary>
    public DomainSnapshot Current => _current;

    /// <summary>Stops listening to hints.</summary>
    public void Dispose() => _source.Dispose();

    /// <summary>Asks for a look now, because something outside, such as libvirt's qemu hook, saw a change.</summary>
    public void Wake() => _work.Wake();

    /// <summary>Waits until there is a picture other than the one that the caller knows.</summary>
    /// <param name="seenVersion">The <see cref="DomainSnapshot.Version"/> that the caller knows.</param>
    /// <param name="cancel">Ends the wait.</param>
    public async Task<DomainSnapshot> WaitForChangeAsync(long seenVersion, CancellationToken cancel)
    {
        while (true)
        {
            Task changed = Volatile.Read(ref _changed).Task;
            DomainSnapshot snapshot = _current;
            if (snapshot.Version != seenVersion)
                return snapshot;
            await changed.WaitAsync(cancel).ConfigureAwait(false);
        }
    }

    /// <summary>Keeps the picture until cancelled. Failures of libvirt and the bus are states of it, not exceptions.</summary>
    /// <param name="cancel">Ends it, with an <see cref="OperationCanceledException"/>.</param>
    public async Task RunAsync(CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                await (_libvirt is null ? LookPatientlyAsync(cancel) : LookAsync(cancel)).ConfigureAwait(false);
            }
#pragma warning disable CA1031 // whatever a host throws at a look, the next look must take place
            catch (Exception e)
#pragma warning restore CA1031
            {
                cancel.ThrowIfCancellationRequested(); // told to stop, it stops, whatever the host answers meanwhile
                Log.LookFailed(_logger, e);
                _work.PutBack([], everything: true);
            }

            await Task.Delay(_options.ShortestInterval, _time, cancel).ConfigureAwait(false);
            await WaitForWorkAsync(cancel).ConfigureAwait(false);
        }
    }

    /// <summary>The same for a source beside libvirt: each of its calls may be to a file system that does not answer, which then
    /// is said. libvirt's calls have limits of their own.</summary>
    private async Task LookPatientlyAsync(CancellationToken cancel)
    {
        Task look = Task.Run(() => LookAsync(cancel), cancel);
        using CancellationTokenSource over = new();
        Task patience = Task.Delay(_options.LookPatience, _time, over.Token);
        if (await Task.WhenAny(look, patience).ConfigureAwait(false) == patience)
            Publish(LibvirtLink.Waiting(FormattableString.Invariant(
                $"a look at it has not ended in {_options.LookPatience.TotalSeconds:0} s: what is known of its domains is old")),
                null, _current.Domains);
        await over.CancelAsync().ConfigureAwait(false);
        await look.ConfigureAwait(false);
    }

    /// <summary>One pass: brings the picture up to date.</summary>
    internal async Task LookAsync(CancellationToken cancel)
    {
        _source.FollowHints();
        Publish(_current.Link, _current.Source); // at once: libvirt may take its time to say that a domain is gone
        LibvirtLink link = LibvirtLink.Up;
        try
        {
            await _source.LookAsync(_work.Take(), cancel).ConfigureAwait(false);
        }
        catch (LibvirtUnavailableException e)
        {
            link = LibvirtLink.Waiting(e.Message);
        }

        _source.FollowHints();
        Publish(link, _source.Kind);
    }

    private async Task WaitForWorkAsync(CancellationToken cancel)
    {
        // A source that nobody asks for, and of which nothing is left to forget, is looked at when that changes, which wakes.
        TimeSpan left = !_source.IsAsked && _current.Domains.Count == 0 ? TimeSpan.MaxValue : Heartbeat;
        for (; left > TimeSpan.Zero && !_work.Woken.IsCompleted; left -= s_longestSilence)
        {
            _options.Progress();
            using CancellationTokenSource waitOver = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            Task wait = Task.Delay(left < s_longestSilence ? left : s_longestSilence, _time, waitOver.Token);
            await Task.WhenAny(_work.Woken, wait).ConfigureAwait(false);
            await waitOver.CancelAsync().ConfigureAwait(false);
            cancel.ThrowIfCancellationRequested();
        }
    }

    private void Publish(LibvirtLink link, LibvirtSource? source, IReadOnlyList<RunningDomain>? known = null)
    {
        lock (_publishing)
            PublishUnderLock(link, source, known ?? _source.ToSortedArray());
    }

    private void PublishUnderLock(LibvirtLink link, LibvirtSource? source, IReadOnlyList<RunningDomain> domains)
    {
        DomainSnapshot last = _current;
        if (source != last.Source && source is not null and not LibvirtSource.Off)
            Log.SourceChosen(_logger, source == LibvirtSource.Files ? "its files, without libvirt-dbus" : "libvirt-dbus");
        if (link != last.Link)
            LogLink(link);
        if (link == last.Link && source == last.Source && domains.SequenceEqual(last.Domains))
            return;
        _current = new(last.Version + 1, link, domains) { Source = source };
        LogChanges(last.Domains, domains);
        Interlocked.Exchange(ref _changed, NewSignal()).SetResult();
    }

    /// <summary>Says what is in the picture by now: whoever reads the log finds it so.</summary>
    private void LogChanges(IReadOnlyList<RunningDomain> before, IReadOnlyList<RunningDomain> now)
    {
        static (DomainKey, Guid) Key(RunningDomain domain) => (domain.Key, domain.Uuid);
        foreach (RunningDomain gone in before.ExceptBy(now.Select(Key), Key))
            Log.DomainGone(_logger, gone.Key, gone.Uuid);
        foreach (RunningDomain appeared in now.ExceptBy(before.Select(Key), Key))
            Log.DomainAppeared(_logger, appeared.Key, appeared.Uuid);
    }

    private void LogLink(LibvirtLink link)
    {
        if (!_source.IsAsked)
            return;
        if (_libvirt is null && link.Connected)
            Log.SourceAnswers(_logger, Name);
        else if (_libvirt is null)
            Log.SourceFails(_logger, Name, link.Reason!);
        else if (link.Connected)
            Log.LibvirtAnswers(_logger);
        else
            Log.WaitingForLibvirt(_logger, link.Reason!);
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
