// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Libvirt.Domains;

/// <summary>
/// The domains of all sources as one picture. Each source has a monitor of its own, so that one that hangs delays no other; a
/// process of which two tell is the domain of the first of them (<see cref="DomainSources.All"/>).
/// </summary>
public sealed class HostDomains : IDisposable
{
    private readonly DomainMonitor _libvirt;
    private readonly DomainMonitor[] _others;
    private volatile SourceOptions _options;

    /// <summary>Brings them together; <see cref="RunOthersAsync"/> then does the work.</summary>
    /// <param name="libvirt">libvirt's. It stays the caller's, who runs it.</param>
    /// <param name="processes">The host's processes. They stay the caller's.</param>
    /// <param name="sources">Which others there are.</param>
    /// <param name="options">How often to look.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Gets a line for each change that matters, once.</param>
    public HostDomains(
        DomainMonitor libvirt, IHostProcesses processes, SourceOptions sources, DomainMonitorOptions options, TimeProvider time,
        ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(libvirt);
        ArgumentNullException.ThrowIfNull(options);
        _libvirt = libvirt;
        _options = sources;
        _others =
        [
            Monitor(work => new ProxmoxSource(processes, work, () => _options, options.Progress, logger)),
            Monitor(work => new PodSource(processes, work, () => _options, options.Progress, logger)),
            Monitor(work => new QemuSource(processes, work, () => _options, options.Progress, logger)),
        ];

        DomainMonitor Monitor(Func<PendingWork, IDomainSource> source) => new(source, options, time, logger);
    }

    /// <summary>Which others there are, from the next look on.</summary>
    public SourceOptions Sources
    {
        get => _options;
        set
        {
            _options = value;
            foreach (DomainMonitor other in _others)
                other.Wake();
        }
    }

    /// <summary>How often to look at the others without any hint.</summary>
    public TimeSpan Heartbeat
    {
        get => _others[0].Heartbeat;
        set => Array.ForEach(_others, other => other.Heartbeat = value);
    }

    /// <summary>The newest picture.</summary>
    public DomainSnapshot Current => Merge([.. All.Select(monitor => monitor.Current)]);

    private IEnumerable<DomainMonitor> All => _others.Prepend(_libvirt);

    /// <summary>Stops listening to hints of the others.</summary>
    public void Dispose()
    {
        foreach (DomainMonitor other in _others)
            other.Dispose();
    }

    /// <summary>Keeps the pictures of all sources but libvirt, until cancelled.</summary>
    /// <param name="cancel">Ends it, with an <see cref="OperationCanceledException"/>.</param>
    public async Task RunOthersAsync(CancellationToken cancel)
    {
        // One that hangs in a call to the kernel does not end when it is told to, and must not keep the agent from ending.
        Task[] running = [.. _others.Select(other => Task.Run(() => other.RunAsync(cancel), CancellationToken.None))];
        await (await Task.WhenAny(running).WaitAsync(cancel).ConfigureAwait(false)).ConfigureAwait(false);
    }

    /// <summary>The picture once every source has been looked at, or has not answered in time, which its link then says. Whoever
    /// asks runs libvirt's monitor and <see cref="RunOthersAsync"/>.</summary>
    /// <param name="patience">How long to wait for those that do not answer.</param>
    /// <param name="cancel">Ends the wait.</param>
    public async Task<DomainSnapshot> FirstPictureAsync(TimeSpan patience, CancellationToken cancel)
    {
        DomainMonitor[] late = await LateAsync().ConfigureAwait(false);
        string reason = FormattableString.Invariant($"has not answered within {patience.TotalSeconds:0} s");
        DomainSnapshot picture = Current;
        return picture with
        {
            Link = late.Contains(_libvirt) ? LibvirtLink.Waiting($"libvirt {reason}") : picture.Link,
            Others = [.. picture.Others.Select(other => late.Any(monitor => monitor.Name == other.Source && monitor != _libvirt)
                ? other with { Link = LibvirtLink.Waiting($"a look at {other.Source} {reason}") }
                : other)],
        };

        async Task<DomainMonitor[]> LateAsync()
        {
            using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            (DomainMonitor Monitor, Task Look)[] looks = [.. All.Select(monitor =>
                (monitor, (Task)monitor.WaitForChangeAsync(0, over.Token)))];
            await Task.WhenAny(Task.WhenAll(looks.Select(look => look.Look)), Task.Delay(patience, over.Token))
                .ConfigureAwait(false);
            DomainMonitor[] waiting = [.. looks.Where(look => !look.Look.IsCompleted).Select(look => look.Monitor)];
            await over.CancelAsync().ConfigureAwait(false);
            cancel.ThrowIfCancellationRequested();
            return waiting;
        }
    }

    /// <summary>Waits until there is a picture other than the one that the caller knows.</summary>
    /// <param name="seenVersion">The <see cref="DomainSnapshot.Version"/> that the caller knows.</param>
    /// <param name="cancel">Ends the wait.</param>
    public async Task<DomainSnapshot> WaitForChangeAsync(long seenVersion, CancellationToken cancel)
    {
        while (true)
        {
            DomainSnapshot[] now = [.. All.Select(monitor => monitor.Current)];
            DomainSnapshot merged = Merge(now);
            if (merged.Version != seenVersion)
                return merged;
            using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            await Task.WhenAny(All.Select((monitor, i) => monitor.WaitForChangeAsync(now[i].Version, over.Token)))
                .ConfigureAwait(false);
            await over.CancelAsync().ConfigureAwait(false);
            cancel.ThrowIfCancellationRequested();
        }
    }

    private DomainSnapshot Merge(DomainSnapshot[] pictures)
    {
        HashSet<ProcessIdentity> known = [];
        List<RunningDomain> domains = [];
        foreach (RunningDomain domain in pictures.SelectMany(picture => picture.Domains))
        {
            if (domain.Process is not { } process || known.Add(process))
                domains.Add(domain);
        }
        return pictures[0] with
        {
            Version = pictures.Sum(picture => picture.Version), // each only grows
            Domains = [.. domains.OrderBy(domain => domain.Name, StringComparer.Ordinal)],
            Others = [.. _others.Zip(pictures.Skip(1)).Where(other => other.First.IsAsked)
                .Select(other => new SourceLink(other.First.Name, other.Second.Link))],
            IsWhole = pictures.All(picture => picture.Link.Connected),
        };
    }
}
