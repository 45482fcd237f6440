// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using VirtTier.Libvirt.Processes;
using VirtTier.Libvirt.Settings;
using VirtTier.Linux;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>
/// KubeVirt's VMs: libvirt's files in each pod's volume <c>libvirt-runtime</c>, as the node sees them. The pod's owner can write
/// anything there. So no link is followed, little is read, a process counts only if it runs in the pod's own cgroup, what the
/// files say of settings and labels does not count (the API says them: <see cref="VmiAnnotations"/>), and one line of the log is
/// all that a pod can cause.
/// </summary>
internal sealed class PodSource(
    IHostProcesses processes, PendingWork work, Func<SourceOptions> options, Action progress, ILogger logger) : IDomainSource
{
    private const string Volume = "volumes/kubernetes.io~empty-dir/libvirt-runtime";
    private const int MostPods = 4096;

    // libvirt has some ten files there, for one domain.
    private const int MostEntries = 100;
    private const int MostDomains = 4;

    // A pod is made for one.
    private const int MostRuns = 16;

    // Some tens of KiB are usual.
    private const int MostBytes = 1 << 20;

    private const int LongestUid = 64;

    // Of a libvirt that runs as a user, as KubeVirt's does, and as root.
    private static readonly string[] s_directories = ["qemu/run", "qemu"];

    private readonly Dictionary<string, Pod> _pods = []; // by UID
    private readonly VmiAnnotations _annotations = new(() => options().VmiSettings, logger);

    public string Name => DomainSources.Kubevirt;

    public bool IsAsked => options().Pods is not null;

    public LibvirtSource? Kind => null;

    private IEnumerable<Known> AllKnown => _pods.Values.SelectMany(pod => pod.Domains.Values);

    public void Dispose()
    {
        foreach (string uid in _pods.Keys.ToArray())
            Forget(uid);
    }

    public RunningDomain[] ToSortedArray() =>
        [.. AllKnown.Where(known => known.Tracked is { HasEnded: false, Domain.Process: not null })
            .Select(known => known.Trusted()).OrderBy(domain => domain.Name, StringComparer.Ordinal)];

    public void FollowHints()
    {
        foreach (Known known in AllKnown)
            known.Tracked.NoticeEnd(processes, work.Wake);
    }

    public Task LookAsync(PendingWork.Marks marks, CancellationToken cancel)
    {
        HashSet<string> seen = [];
        try
        {
            if (IsAsked)
                _annotations.Look();
            foreach (string directory in options().Pods is { } root ? Directory.EnumerateDirectories(root).Take(MostPods) : [])
            {
                cancel.ThrowIfCancellationRequested();
                progress();
                string uid = Path.GetFileName(directory);
                if (uid.Length > LongestUid || !uid.All(c => char.IsAsciiLetterOrDigit(c) || c == '-'))
                    continue;
                using SafeFileHandle volume = Libc.OpenDirectory(Path.Combine(directory, Volume), out int errno);
                if (errno != 0)
                    continue;
                seen.Add(uid);
                if (!_pods.TryGetValue(uid, out Pod? pod))
                    _pods.Add(uid, pod = new(uid));
                Try(pod, () => Look(pod, volume));
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LibvirtUnavailableException($"{options().Pods} cannot be read ({Shorten.Sentence(e.Message)}); "
                + "sources.pods is the kubelet's directory of pods");
        }
        foreach (string gone in _pods.Keys.Except(seen).ToArray())
            Forget(gone);
        return Task.CompletedTask;
    }

    /// <summary>Whatever is wrong with a pod is no matter of the others, and said once.</summary>
    private void Try(Pod pod, Action look)
    {
        try
        {
            look();
        }
#pragma warning disable CA1031 // whatever it is, it is of this pod
        catch (Exception e)
#pragma warning restore CA1031
        {
            if (pod.IsTold)
                return;
            pod.IsTold = true;
            Log.DomainLeftOut(logger, new(Name, pod.Uid), Shorten.Sentence(e.Message) + "; nothing more is said of this pod");
        }
    }

    private void Look(Pod pod, SafeFileHandle volume)
    {
        HashSet<string> found = [];
        foreach (string below in s_directories)
        {
            using SafeFileHandle directory = Libc.OpenDirectoryBelow(volume, below, out int errno);
            if (errno is Errno.ENOENT)
                continue;
            if (errno != 0)
                throw new IOException(
                    $"libvirt-runtime/{below} cannot be opened without following a link ({Errno.Describe(errno)})");
            // Through the descriptor, whatever becomes of the path.
            string at = FormattableString.Invariant($"/proc/self/fd/{directory.DangerousGetHandle()}");
            string[] entries = [.. Directory.EnumerateFileSystemEntries(at).Take(MostEntries + 1)];
            if (entries.Length > MostEntries)
                throw new IOException($"libvirt-runtime/{below} has more than {MostEntries} files");
            foreach (string file in entries.Where(file => file.EndsWith(".xml", StringComparison.Ordinal)).Order()
                .Take(MostDomains))
            {
                string name = Path.GetFileNameWithoutExtension(file);
                if (found.Count < MostDomains && found.Add(name))
                    Try(pod, () => Look(pod, at, name, found));
            }
        }
        foreach (string gone in pod.Domains.Keys.Except(found).ToArray())
            pod.Forget(gone);
    }

    private void Look(Pod pod, string at, string name, HashSet<string> found)
    {
        if (processes.FindLockHolder($"{at}/{name}.pid") is null)
        {
            found.Remove(name); // what a QEMU left behind that has ended
            return;
        }

        if (!pod.Domains.TryGetValue(name, out Known? known))
            pod.Domains.Add(name, known = new(new(at, new Dictionary<(DomainKey, Guid), TieringSettings>(), NullLogger.Instance)
            {
                KeyOf = domain => new(Name, $"{pod.Uid}/{domain}"),
            }));
        try
        {
            Read(known, $"{at}/{name}.xml", name);
            if (known.Tracked.Domain is not { } domain)
                return;
            known.Namespace = RequireNamespace(pod, domain.Name);
            ProcessLookup lookup = new QemuProcessFinder(processes, null, at).Find(domain.Uuid, name);
            if (lookup.Process is { } process)
            {
                RequireOwn(pod, process);
                if (domain.Process != process && ++pod.Runs > MostRuns)
                    throw new ForeignException($"it has had more than {MostRuns} QEMUs: a pod has one");
                known.MostMemory = Math.Min(processes.ReadAddressSpace(process.Pid),
                    CgroupMemory.Limit(options().CgroupRoot, processes.ReadCgroup(process.Pid) ?? "") ?? ulong.MaxValue);
            }
            known.Tracked.UpdateProcess(lookup, processes, work.Wake);
            known.Take(_annotations.Find(known.Namespace, domain.Name));
        }
        catch (ForeignException)
        {
            found.Remove(name);
            throw;
        }
    }

    private static void Read(Known known, string file, string name)
    {
        using SafeFileHandle xml = BoundedFile.OpenNoLink(file);
        (DateTime, long) stamp = (File.GetLastWriteTimeUtc(xml), RandomAccess.GetLength(xml));
        if (stamp == known.Stamp)
            return;
        known.Stamp = stamp; // also of what cannot be read: it is not read again
        DomainStatusFile status = DomainStatusFile.Parse(BoundedFile.ReadBytes(xml, name + ".xml", MostBytes));
        known.Tracked.UpdateFromXml(status.DomainXml, name);
        known.Tracked.UpdateState(status.State);
        known.Tracked.UpdateJob(status.Job);
    }

    /// <summary>The pod's namespace, as the kubelet has it. A domain of KubeVirt's has it in front of its name.</summary>
    private string? RequireNamespace(Pod pod, string name)
    {
        pod.Namespace ??= ReadNamespace(pod.Uid);
        return pod.Namespace is null || name.StartsWith(pod.Namespace + "_", StringComparison.Ordinal)
            ? pod.Namespace
            : throw new ForeignException(
                $"its domain '{Shorten.ForMessage(name)}' does not have the pod's namespace, "
                    + $"{pod.Namespace}, in front of its name");
    }

    private string? ReadNamespace(string uid)
    {
        try
        {
            return Directory.EnumerateDirectories(options().PodLogs, $"*_{uid}").Select(
                path => Path.GetFileName(path).Split('_')[0])
                .FirstOrDefault();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private void RequireOwn(Pod pod, ProcessIdentity process)
    {
        string cgroup = processes.ReadCgroup(process.Pid) ?? "";
        // As systemd's driver names it (kubepods-burstable-podUID.slice, with _ for -), and as cgroupfs's does (podUID).
        // The outermost that is a pod's: below it a container may have made others, named as it likes.
        string? outermost = Array.Find(cgroup.Split('/'), part =>
            (part.StartsWith("pod", StringComparison.Ordinal) && Guid.TryParse(part.AsSpan("pod".Length), out _))
            || (part.StartsWith("kubepods", StringComparison.Ordinal) && part.Contains("-pod", StringComparison.Ordinal)));
        bool isOwn = outermost == $"pod{pod.Uid}"
            || outermost?.EndsWith($"-pod{pod.Uid.Replace('-', '_')}.slice", StringComparison.Ordinal) == true;
        if (!isOwn || processes.Identify(process.Pid) != process)
            throw new ForeignException($"process {process.Pid}, which holds the lock, does not run in the pod's cgroup");
    }

    private void Forget(string uid)
    {
        if (!_pods.Remove(uid, out Pod? pod))
            return;
        foreach (string name in pod.Domains.Keys.ToArray())
            pod.Forget(name);
    }

    private sealed class Pod(string uid)
    {
        internal string Uid { get; } = uid;

        internal Dictionary<string, Known> Domains { get; } = [];

        internal string? Namespace { get; set; }

        /// <summary>How often a QEMU was found that was not there before.</summary>
        internal int Runs { get; set; }

        /// <summary>Whether something was said of it, which is all that is.</summary>
        internal bool IsTold { get; set; }

        internal void Forget(string name)
        {
            if (Domains.Remove(name, out Known? known))
                known.Tracked.Dispose();
        }
    }

    private sealed class Known(TrackedDomain tracked)
    {
        internal TrackedDomain Tracked { get; } = tracked;

        internal (DateTime WrittenAt, long Length) Stamp { get; set; }

        internal string? Namespace { get; set; }

        /// <summary>What its process can have at most, in bytes.</summary>
        internal ulong MostMemory { get; set; }

        private ulong Memory => Math.Min(Tracked.Domain!.MemoryBytes, MostMemory);

        private TieringSettings Settings { get; set; } = TieringSettings.Default;

        private IReadOnlyList<SettingsProblem> Problems { get; set; } = [];

        /// <summary>Takes over what the API says of the VM; null is nothing: it is on its way to another node, or has been
        /// deleted, and what it last said holds until its end.</summary>
        internal void Take(VmiSettings? vmi)
        {
            if (vmi is null)
                return;
            var (settings, problems) = TieringSettings.FromAttributes(vmi.Settings, Memory);
            if (problems.Count == 0)
                Settings = settings;
            // Of two lists with the same in them the first stays, so that nothing looks like a change.
            if (!problems.SequenceEqual(Problems))
                Problems = problems;
        }

        /// <summary>The domain without what only its owner says of it: memory that it does not have would be a share of the
        /// host's.</summary>
        internal RunningDomain Trusted() => Tracked.Domain! with
        {
            MemoryBytes = Memory,
            Labels = DomainLabels.None with { Namespace = Namespace },
            Numa = NumaHints.None, // the kernel knows what binds it
            Settings = Settings,
            SettingsProblems = Problems,
        };
    }

    /// <summary>What is not the pod's own, and so no domain.</summary>
    private sealed class ForeignException(string message) : Exception(message);
}
