// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Processes;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>
/// QEMUs that nobody tells of: found by the locks of their pid files, or in their cgroups, as the configuration says. Name and
/// memory are those of the command line; what the guest does is not known, and settings are by rules.
/// </summary>
internal class QemuSource(
    IHostProcesses processes, PendingWork work, Func<SourceOptions> options, Action progress, ILogger logger) : IDomainSource
{
    private const int MostBytes = 64 << 10;

    private readonly Dictionary<string, Known> _known = []; // by id
    private readonly HashSet<string> _told = [];

    /// <summary>A process that may be a domain's.</summary>
    /// <param name="Id">What the domain is known by.</param>
    /// <param name="Pid">The process.</param>
    /// <param name="Directory">The directory that it was found by.</param>
    /// <param name="IsStill">Whether it still is that process.</param>
    protected readonly record struct Candidate(string Id, int Pid, string Directory, Func<bool> IsStill);

    public virtual string Name => DomainSources.Qemu;

    public virtual bool IsAsked => Options.PidFiles.Count + Options.Cgroups.Count > 0;

    public LibvirtSource? Kind => null;

    protected SourceOptions Options => options();

    /// <summary>A directory without which this source knows nothing; null where it may come and go with its domains.</summary>
    protected virtual string? Needed => null;

    protected IHostProcesses Processes => processes;

    public void Dispose()
    {
        foreach (string id in _known.Keys.ToArray())
            Forget(id);
    }

    public RunningDomain[] ToSortedArray() =>
        [.. _known.Values.Where(known => !known.Process.HasEnded).Select(known => known.Domain)
            .OrderBy(domain => domain.Name, StringComparer.Ordinal)];

    public void FollowHints()
    {
        foreach (string ended in _known.Where(known => known.Value.Process.HasEnded).Select(known => known.Key).ToArray())
            Forget(ended);
    }

    public Task LookAsync(PendingWork.Marks marks, CancellationToken cancel)
    {
        Candidate[] found =
            IsAsked ? [.. List().DistinctBy(candidate => candidate.Id).DistinctBy(candidate => candidate.Pid)] : [];
        // A directory that is away for a while, or cannot be read, ends no QEMU.
        foreach (string gone in _known.Keys.Except(found.Select(candidate => candidate.Id)).ToArray())
        {
            if (!IsAsked || WhyUnreadable(_known[gone].Directory) is null)
                Forget(gone);
        }
        _told.IntersectWith(found.Select(candidate => candidate.Id));
        foreach (Candidate candidate in found)
        {
            cancel.ThrowIfCancellationRequested();
            progress();
            try
            {
                Look(candidate);
            }
#pragma warning disable CA1031 // whatever it is, it is of this domain
            catch (Exception e)
#pragma warning restore CA1031
            {
                if (_told.Add(candidate.Id))
                    Log.DomainLeftOut(logger, new(Name, Shorten.Sentence(candidate.Id)), Shorten.Sentence(e.Message));
            }
        }
        return IsAsked && Needed is { } needed && WhyUnreadable(needed) is { } reason
            ? Task.FromException(new LibvirtUnavailableException($"{needed} cannot be read ({reason})"))
            : Task.CompletedTask;
    }

    /// <summary>The processes to look at.</summary>
    protected virtual IEnumerable<Candidate> List()
    {
        foreach (string file in Options.PidFiles.SelectMany(PathPattern.Expand))
        {
            if (processes.FindLockHolder(file) is { } pid)
                yield return new(file, pid, Path.GetDirectoryName(file)!, () => processes.FindLockHolder(file) == pid);
        }
        foreach (string cgroup in Options.Cgroups.SelectMany(pattern => PathPattern.Expand(Options.CgroupRoot + "/" + pattern)))
        {
            int[] qemus = [.. Members(cgroup).Where(pid => QemuArguments.Parse(processes.ReadCommandLine(pid)) is not null)];
            string id = cgroup[Options.CgroupRoot.Length..];
            foreach (int pid in qemus)
            {
                yield return new(qemus.Length == 1 ? id : string.Create(CultureInfo.InvariantCulture, $"{id}#{pid}"), pid,
                    Options.CgroupRoot, () => Members(cgroup).Contains(pid));
            }
        }
    }

    /// <summary>What else is known of a domain.</summary>
    /// <param name="domain">As its command line has it.</param>
    /// <param name="arguments">That.</param>
    /// <param name="before">As it was last known, of the same process; null the first time.</param>
    /// <exception cref="FormatException">It is none of this source's.</exception>
    protected virtual RunningDomain Complete(RunningDomain domain, QemuArguments arguments, RunningDomain? before) => domain;

    private void Look(Candidate candidate)
    {
        if (processes.Identify(candidate.Pid) is not { } identity)
            return;
        QemuArguments arguments = QemuArguments.Parse(processes.ReadCommandLine(candidate.Pid))
            ?? throw new FormatException($"process {candidate.Pid} is no QEMU");
        Known? known = _known.GetValueOrDefault(candidate.Id) is { } last && last.Domain.Process == identity ? last : null;
        RunningDomain domain = Complete(new()
        {
            Source = Name,
            Id = candidate.Id,
            Name = arguments.Name ?? Path.GetFileNameWithoutExtension(candidate.Id),
            Uuid = arguments.Uuid,
            Process = identity,
            MemoryBytes = arguments.MemoryBytes,
            Settings = TieringSettings.Default,
        }, arguments, known?.Domain);
        // What was read may be of another process, or the pid that of another since it was found.
        if (processes.Identify(candidate.Pid) != identity || !candidate.IsStill())
            return;
        if (known is not null)
        {
            // Of two lists with the same in them the first stays, so that nothing looks like a change.
            if (domain.SettingsProblems.SequenceEqual(known.Domain.SettingsProblems))
                domain = domain with { SettingsProblems = known.Domain.SettingsProblems };
            _known[candidate.Id] = known with { Domain = domain };
            return;
        }
        Forget(candidate.Id);
        _known[candidate.Id] = new(domain, candidate.Directory, new WatchedProcess(identity, processes, work.Wake));
    }

    private void Forget(string id)
    {
        if (_known.Remove(id, out Known? known))
            known.Process.Dispose();
    }

    private static string? WhyUnreadable(string directory)
    {
        try
        {
            _ = Directory.EnumerateFileSystemEntries(directory).FirstOrDefault();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Shorten.Sentence(e.Message);
        }
    }

    private static IEnumerable<int> Members(string cgroup)
    {
        string text;
        try
        {
            text = BoundedFile.ReadText(Path.Combine(cgroup, "cgroup.procs"), MostBytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            yield break; // it has just gone, or has more processes than a guest's has
        }
        foreach (string line in text.Split('\n'))
        {
            if (int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out int pid))
                yield return pid;
        }
    }

    private sealed record Known(RunningDomain Domain, string Directory, WatchedProcess Process);
}
