// SPDX-License-Identifier: Apache-2.0
using System.IO.Hashing;
using System.Text;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Processes;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>What the monitor remembers about one domain from pass to pass.</summary>
internal sealed class TrackedDomain(
    string path, IReadOnlyDictionary<(DomainKey, Guid), TieringSettings> remembered, ILogger logger) : IDisposable
{
    private byte[] _xmlHash = [];
    private string? _runId;
    private TieringSettings? _lastGoodSettings;
    private WatchedProcess? _process;
    private CarriedHeat? _heat; // of this run's first definition
    private bool _isIncoming;
    private DomainJob _job = DomainJob.None;

    internal string Path { get; } = path;

    /// <summary>What a domain of this name is known by; libvirt's unless set.</summary>
    internal Func<string, DomainKey> KeyOf { get; init; } = name => new(DomainSources.Libvirt, name);

    /// <summary>The domain as it goes into the snapshot.</summary>
    internal RunningDomain? Domain { get; private set; }

    /// <summary>When its XML was last read; the zero of the monitor's clock when never.</summary>
    internal long XmlReadAt { get; set; }

    /// <summary>
    /// Whether its run is known to have ended: its process has, and neither another one nor another run of it has been seen.
    /// libvirt may go on for
    /// a while to list it, and know nothing yet.
    /// </summary>
    internal bool HasEnded { get; private set; }

    public void Dispose() => _process?.Dispose();

    /// <summary>Takes over what the XML says.</summary>
    /// <param name="xml">The XML.</param>
    /// <param name="name">The name that the domain must have; null where any will do.</param>
    /// <exception cref="FormatException">It is not the XML of a domain that runs.</exception>
    internal void UpdateFromXml(string xml, string? name = null)
    {
        byte[] hash = XxHash128.Hash(Encoding.UTF8.GetBytes(xml));
        if (Domain is not null && hash.AsSpan().SequenceEqual(_xmlHash))
            return;
        DomainXml parsed = DomainXml.Parse(xml);
        if (parsed.RunId is null)
            throw new FormatException("it has stopped, and this is how it would start the next time");
        if (name is not null && parsed.Name != name)
            throw new FormatException($"the domain in it has another name, '{Shorten.ForMessage(parsed.Name)}'");
        var (settings, problems) = TieringSettings.FromElement(parsed.Tiering, parsed.MemoryBytes);
        if (parsed is { Tiering: null, OddNamespace: { } odd })
        {
            problems = [new(TieringSettings.ElementName, Shorten.ForMessage(odd),
                $"the element has the namespace '{Shorten.ForMessage(odd)}', which counts for nothing here: "
                    + $"it must be '{TieringSettings.MetadataNamespace}'")];
        }
        if (parsed.Labels.FlavorProblem is { } flavorProblem && flavorProblem != Domain?.Labels.FlavorProblem)
            Log.BadFlavor(logger, parsed.Name, flavorProblem);
        if (problems.Count == 0)
            _lastGoodSettings = settings;
        else if (Domain is null || !problems.SequenceEqual(Domain.SettingsProblems))
            LogProblems(parsed.Name, problems);

        RunningDomain domain = Domain ?? NewDomain(parsed);
        if (Domain is null || parsed.RunId != _runId)
            _heat = parsed.Heat is { } heat ? new CarriedHeat(heat) : null;
        Domain = domain with
        {
            Uuid = parsed.Uuid,
            Name = parsed.Name,
            MemoryBytes = parsed.MemoryBytes,
            CurrentMemoryBytes = parsed.CurrentMemoryBytes,
            Numa = parsed.Numa,
            Labels = parsed.Labels,
            Settings = _lastGoodSettings ??= remembered.GetValueOrDefault((domain.Key, parsed.Uuid), TieringSettings.Default),
            SettingsProblems = problems,
            HasHeat = parsed.Heat is not null,
            CarriedHeat = _isIncoming ? _heat : null,
        };
        HasEnded &= parsed.RunId == _runId;
        _runId = parsed.RunId;
        _xmlHash = hash;
    }

    /// <summary>Its definition cannot be used: what was last read of it stays in force.</summary>
    internal void Refuse(string reason)
    {
        _xmlHash = []; // the same as before that would be news again
        Domain = Domain! with { SettingsProblems = [new(TieringSettings.ElementName, "", reason)] };
    }

    internal void UpdateState(DomainState state) => Domain = Domain! with { State = state };

    internal void UpdateJob(DomainJob job)
    {
        if (job.IsUnknown && !(_job.IsUnknown && _job.Operation == job.Operation))
            Log.UnknownJob(logger, Domain!.Name, job.OperationName);
        _job = job;
        Domain = Domain! with { MigratingOut = job.CopiesMemory };
    }

    /// <summary>Takes note that the process found earlier has ended, if it has since.</summary>
    internal bool NoticeEnd(IHostProcesses processes, Action ended)
    {
        if (_process is not { HasEnded: true })
            return false;
        UpdateProcess(new(null, $"process {Domain!.Process!.Value.Pid} has ended"), processes, ended);
        return true;
    }

    /// <summary>Domains in the order of their names, without those whose run has ended.</summary>
    internal static RunningDomain[] ToSortedArray(IEnumerable<TrackedDomain> tracked) => [.. tracked
        .Where(tracked => !tracked.HasEnded).Select(tracked => tracked.Domain!)
        .OrderBy(domain => domain.Name, StringComparer.Ordinal)];

    /// <summary>Takes over where its process was found, or why not, and has the end of a new one noticed.</summary>
    internal void UpdateProcess(ProcessLookup lookup, IHostProcesses processes, Action ended)
    {
        if (lookup.Process != Domain!.Process)
        {
            _process?.Dispose();
            _process = null;
            _process = lookup.Process is { } process ? new(process, processes, ended) : null;
            _isIncoming = lookup.Process is { } found && processes.ReadCommandLine(found.Pid).Contains("-incoming");
        }

        HasEnded = lookup.Process is null && (HasEnded || Domain.Process is not null);
        Domain = Domain with
        {
            Process = lookup.Process,
            ProcessProblem = lookup.Problem,
            CarriedHeat = _isIncoming ? _heat : null,
        };
    }

    private RunningDomain NewDomain(DomainXml parsed) => new()
    {
        Source = KeyOf(parsed.Name).Source,
        Id = KeyOf(parsed.Name).Id,
        Uuid = parsed.Uuid,
        Name = parsed.Name,
        MemoryBytes = parsed.MemoryBytes,
        Settings = TieringSettings.Default,
        ProcessProblem = "not looked for yet",
    };

    private void LogProblems(string name, IReadOnlyList<SettingsProblem> problems)
    {
        foreach (SettingsProblem problem in problems)
            Log.BadSettings(logger, name, problem.Attribute, problem.Message);
    }
}
