// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Processes;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>
/// Domains as libvirt's QEMU driver keeps them in its run directory: NAME.xml, which it replaces whenever something changes, and
/// NAME.pid, which QEMU holds locked while it lives. The lock is the truth: a file without it is what a QEMU left behind that
/// ended while libvirt was away.
/// </summary>
internal sealed class FileSource(
    IHostProcesses processes, PendingWork work, DomainMonitorOptions options, ILogger logger) : IDomainSource
{
    // More than any host can run; a directory that somebody fills must not be read for minutes.
    private const int MostFiles = 10_000;

    private readonly QemuProcessFinder _finder = new(processes, null, options.RunDirectory);
    private readonly Dictionary<string, Known> _known = []; // by file
    private IDisposable? _watch;
    private bool _watchFailed;
    private bool _tooManyTold;

    public LibvirtSource? Kind => LibvirtSource.Files;

    public void Dispose()
    {
        _watch?.Dispose();
        foreach (string file in _known.Keys.ToArray())
            Forget(file);
    }

    public RunningDomain[] ToSortedArray() => TrackedDomain.ToSortedArray(Tracked);

    public void FollowHints()
    {
        foreach (TrackedDomain tracked in Tracked)
            tracked.NoticeEnd(processes, work.Wake);
    }

    public Task LookAsync(PendingWork.Marks marks, CancellationToken cancel)
    {
        Watch();
        string[] files = List();
        foreach (string gone in _known.Keys.Except(files).ToArray())
            Forget(gone);
        foreach (string file in files)
        {
            cancel.ThrowIfCancellationRequested();
            options.Progress();
            Look(file, marks);
        }

        bool isDriverThere = processes.FindLockHolder(Path.Combine(options.RunDirectory, "driver.pid")) is not null;
        return isDriverThere || !Tracked.Any() // a daemon without domains may end, and is started when somebody calls it
            ? Task.CompletedTask
            : Task.FromException(new LibvirtUnavailableException(
                $"neither libvirtd nor virtqemud runs (nobody holds the lock of {options.RunDirectory}/driver.pid)"));
    }

    private IEnumerable<TrackedDomain> Tracked => _known.Values.Select(known => known.Tracked).OfType<TrackedDomain>();

    /// <summary>Once more where a look found what no hint was about: the directory may be another one by now.</summary>
    private void Watch()
    {
        if (_watchFailed)
        {
            _watch?.Dispose();
            _watch = null;
        }

        _watch ??= processes.WatchFiles(options.RunDirectory, "*.xml", work.Mark);
        _watchFailed = false;
    }

    private string[] List()
    {
        try
        {
            string[] files = [.. Directory.EnumerateFiles(options.RunDirectory, "*.xml").Take(MostFiles + 1)];
            if (files.Length > MostFiles && !_tooManyTold)
                Log.DomainStaysUnreadable(logger, options.RunDirectory,
                    $"it has more than {MostFiles} files; the others are left out");
            _tooManyTold = files.Length > MostFiles;
            return files.Length > MostFiles ? files[..MostFiles] : files;
        }
        catch (DirectoryNotFoundException)
        {
            throw new LibvirtUnavailableException($"there is no {options.RunDirectory}: libvirt's QEMU driver does not run");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LibvirtUnavailableException($"{options.RunDirectory} cannot be read ({Shorten.Sentence(e.Message)})");
        }
    }

    /// <summary>Looks at one file. Whatever is wrong with it is no matter of the others.</summary>
    private void Look(string file, PendingWork.Marks marks)
    {
        string name = Path.GetFileNameWithoutExtension(file);
        try
        {
            if (processes.FindLockHolder(Path.ChangeExtension(file, ".pid")) is null)
            {
                Forget(file);
                return;
            }

            if (!_known.TryGetValue(file, out Known? known))
                _known.Add(file, known = new());
            FileStamp stamp = FileStamp.Of(file);
            if (marks.Include(file) || stamp != known.Stamp)
            {
                _watchFailed |= known.Stamp != default && stamp != known.Stamp && !marks.Include(file);
                Read(file, name, known, stamp);
            }

            if (known.Tracked is not { } tracked)
                return;
            ProcessIdentity? before = tracked.Domain!.Process;
            tracked.UpdateProcess(_finder.Find(tracked.Domain.Uuid, name), processes, work.Wake);
            if (before is not null && tracked.Domain.Process != before) // what was read may be of the run that has ended
                Read(file, name, known, FileStamp.Of(file));
        }
        catch (FileNotFoundException)
        {
            // It has just stopped; the next look finds neither file nor lock.
        }
#pragma warning disable CA1031 // whatever it is, it is of this domain
        catch (Exception e)
#pragma warning restore CA1031
        {
            Tell(file, e);
        }
    }

    private void Read(string file, string name, Known known, FileStamp stamp)
    {
        known.Stamp = stamp; // of the time before: what is written while it is read has another one
        TrackedDomain tracked = known.Tracked ?? new TrackedDomain(file, options.LastGoodSettings, logger);
        try
        {
            DomainStatusFile status = DomainStatusFile.Parse(BoundedFile.ReadBytesOfNoLink(file, DomainStatusFile.MostBytes));
            tracked.UpdateFromXml(status.DomainXml, name);
            tracked.UpdateState(status.State);
            tracked.UpdateJob(status.Job);
            known.Tracked = tracked;
            known.Problem = null;
        }
        catch (FormatException e)
        {
            if (known.Tracked is not null)
                tracked.Refuse(e.Message);
            throw;
        }
        catch
        {
            known.Stamp = default; // it may be readable the next time, though it is the same
            throw;
        }
    }

    private void Tell(string file, Exception e)
    {
        string reason = Shorten.Sentence(e.Message);
        if (_known.TryGetValue(file, out Known? known) && known.Problem != reason)
            Log.DomainStaysUnreadable(logger, Shorten.Sentence(file), known.Problem = reason);
    }

    private void Forget(string file)
    {
        if (_known.Remove(file, out Known? known))
            known.Tracked?.Dispose();
    }

    private sealed class Known
    {
        internal TrackedDomain? Tracked { get; set; }

        internal FileStamp Stamp { get; set; }

        /// <summary>Why it cannot be read; said once.</summary>
        internal string? Problem { get; set; }
    }

    /// <summary>What tells one version of a file from the next, which replaces it.</summary>
    private readonly record struct FileStamp(DateTime WrittenAt, long Length)
    {
        internal static FileStamp Of(string path)
        {
            FileInfo file = new(path);
            return new(file.LastWriteTimeUtc, file.Length);
        }
    }
}
