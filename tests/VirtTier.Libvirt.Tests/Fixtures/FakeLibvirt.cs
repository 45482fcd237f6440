// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Libvirt.Tests.Fixtures;

/// <summary>A host in memory: libvirt-dbus, machined and processes, each of which can fail in its own ways.</summary>
internal sealed class FakeLibvirt : IHostProcesses
{
    internal const string DomainInterface = "org.libvirt.Domain", ConnectInterface = "org.libvirt.Connect";

    private readonly List<(ProcessIdentity Process, Action Ended)> _watches = [];

    private int _progress;

    internal FakeLibvirt()
    {
        Bus.Services["org.libvirt"] = AnswerLibvirt;
        Monitor = new(Bus, this,
            new DomainMonitorOptions { RunDirectory = "/run", Progress = () => Interlocked.Increment(ref _progress) }, Time, Log);
    }

    internal FakeBus Bus { get; } = new();

    internal ManualTime Time { get; } = new();

    internal FakeLog Log { get; } = new();

    internal DomainMonitor Monitor { get; }

    /// <summary>How often the monitor said that it goes on.</summary>
    internal int Progress => Volatile.Read(ref _progress);

    /// <summary>What runs under libvirt.</summary>
    internal List<FakeDomain> Domains { get; } = [];

    /// <summary>The processes: pid to start time and arguments.</summary>
    internal Dictionary<int, (ulong StartTime, string[] Arguments)> Processes { get; } = [];

    /// <summary>Who has the write lock of which file.</summary>
    internal Dictionary<string, int> LockHolders { get; } = [];

    /// <summary>While set, libvirt's calls are answered only when it completes.</summary>
    internal Task LibvirtBlock { get; set; } = Task.CompletedTask;

    /// <summary>What an answer of libvirt waits for on its way; it is of the time of the question.</summary>
    internal Func<BusCall, Task> Underway { get; set; } = _ => Task.CompletedTask;

    /// <summary>Answers in libvirt's place, where not null.</summary>
    internal Func<BusCall, Task<BusBody>?> Instead { get; set; } = _ => null;

    /// <summary>Told of each question to the kernel before it is answered: what is asked, and the pid or file.</summary>
    internal Action<string, object> Asked { get; set; } = (_, _) => { };

    /// <summary>Whether the kernel can watch processes.</summary>
    internal bool CanWatch { get; set; } = true;

    internal int WatchCount => _watches.Count;

    internal RunningDomain? Find(string name) => Monitor.Current.Domains.FirstOrDefault(domain => domain.Name == name);

    internal Task LookAsync() => Monitor.LookAsync(TestContext.Current.CancellationToken);

    internal int CountCalls(string member)
    {
        lock (Bus.Calls)
            return Bus.Calls.Count(call => call.Member == member);
    }

    /// <summary>Starts a domain with all that a healthy host has for it, and no signal.</summary>
    internal FakeDomain StartDomain(string name, int pid)
    {
        FakeDomain domain = new(name);
        Domains.Add(domain);
        StartProcess(domain, pid);
        return domain;
    }

    internal void StartProcess(FakeDomain domain, int pid)
    {
        Processes[pid] = (StartTimeOf(pid), ["qemu-system-x86_64", "-uuid", domain.Uuid.ToString(), "-m", "64"]);
        LockHolders[$"/run/{domain.Name}.pid"] = pid;
    }

    internal static ulong StartTimeOf(int pid) => 1000ul + (ulong)pid;

    internal void EndProcess(int pid)
    {
        Processes.Remove(pid);
        foreach (string file in LockHolders.Where(pair => pair.Value == pid).Select(pair => pair.Key).ToArray())
            LockHolders.Remove(file);
        foreach (var (process, ended) in _watches.Where(watch => watch.Process.Pid == pid).ToArray())
        {
            _watches.Remove((process, ended));
            ended();
        }
    }

    /// <summary>Puts a machined on the bus that knows these machines.</summary>
    internal void StartMachined(params (Guid Uuid, uint Leader)[] machines)
    {
        Bus.Services["org.freedesktop.machine1"] = call => Task.FromResult(call.Member == "ListMachines"
            ? new BusBody("a(ssso)", new object[] { machines.Select(object (m) => new object[]
                { "qemu-1-x", "vm", "libvirt-qemu", "/machine/" + m.Leader }).ToArray() })
            : new BusBody("a{sv}", new Dictionary<string, object>
            {
                ["Id"] = machines.Single(m => call.Path == "/machine/" + m.Leader).Uuid.ToByteArray(bigEndian: true),
                ["Leader"] = uint.Parse(call.Path[9..], System.Globalization.CultureInfo.InvariantCulture),
            }));
    }

    internal void RaiseDomainEvent(FakeDomain domain, int kind, int detail = 0) => Bus.Raise(
        "org.libvirt", "/org/libvirt/QEMU", ConnectInterface, "DomainEvent", new("oii", domain.Path, kind, detail));

    internal void RaiseMetadataChange(FakeDomain domain) => Bus.Raise(
        "org.libvirt", domain.Path, DomainInterface, "MetadataChange", new("is", 2, "urn:virttier:tiering:1"));

    int? IHostProcesses.FindLockHolder(string pidFile)
    {
        Asked("FindLockHolder", pidFile);
        return LockHolders.TryGetValue(pidFile, out int pid) ? pid : null;
    }

    ProcessIdentity? IHostProcesses.Identify(int pid)
    {
        Asked("Identify", pid);
        return Processes.TryGetValue(pid, out var process) ? new(pid, process.StartTime) : null;
    }

    IReadOnlyList<string> IHostProcesses.ReadCommandLine(int pid)
    {
        Asked("ReadCommandLine", pid);
        return Processes.TryGetValue(pid, out var process) ? process.Arguments : [];
    }

    string? IHostProcesses.ReadCgroup(int pid) => null;

    ulong IHostProcesses.ReadAddressSpace(int pid) => 0;

    IDisposable? IHostProcesses.WatchEnd(ProcessIdentity process, Action ended)
    {
        Asked("WatchEnd", process.Pid);
        if (!CanWatch)
            return null;
        _watches.Add((process, ended));
        return new OnDispose(() => _watches.Remove((process, ended)));
    }

    IDisposable? IHostProcesses.WatchFiles(string directory, string names, Action<string> changed) => null;

    private async Task<BusBody> AnswerLibvirt(BusCall call)
    {
        await LibvirtBlock;
        if (Instead(call) is { } answered)
            return await answered;
        FakeDomain? domain = Domains.FirstOrDefault(d => d.Path == call.Path);
        if (domain is not null)
            await domain.Block;
        BusBody answer = Answer(call, domain);
        await Underway(call);
        return answer;
    }

    private BusBody Answer(BusCall call, FakeDomain? domain)
    {
        switch (call.Member)
        {
            case "ListDomains":
                return new("ao", new object[] { Domains.Select(d => d.Path).ToArray() });
            case "GetAllDomainStats":
                return new("a(sa{sv})", new object[] { Domains.Where(d => d.RunId is not null).Select(object (d) => new object[]
                    { d.Name, new Dictionary<string, object> { ["state.state"] = d.State, ["state.reason"] = 1 } }).ToArray() });
            case "GetXMLDesc" when domain is { Readable: true }:
                return new("s", domain.ToXml());
            case "GetJobStats" when domain is not null:
                Dictionary<string, object> stats =
                    domain.JobOperation is { } operation ? new() { ["operation"] = operation } : [];
                return new("(ia{sv})", new object[] { new object[] { domain.JobType, stats } });
            default:
                throw new BusException("org.libvirt.Error", $"Domain not found: {call.Path}");
        }
    }
}

/// <summary>A domain of <see cref="FakeLibvirt"/>.</summary>
internal sealed class FakeDomain(string name)
{
    internal string Name { get; } = name;

    internal Guid Uuid { get; } = Guid.NewGuid();

    internal string Path => "/org/libvirt/QEMU/domain/_" + Uuid.ToString().Replace('-', '_');

    /// <summary>libvirt's number: 1 runs, 3 is paused.</summary>
    internal int State { get; set; } = 1;

    /// <summary>libvirt's number: 0 is no job, 2 is one of unknown length.</summary>
    internal int JobType { get; set; }

    /// <summary>libvirt's number: 5 is a migration out.</summary>
    internal int? JobOperation { get; set; }

    internal string Metadata { get; set; } = "";

    internal bool Readable { get; set; } = true;

    /// <summary>Calls about this domain are answered only when it completes.</summary>
    internal Task Block { get; set; } = Task.CompletedTask;

    internal int CurrentMemoryMiB { get; set; } = 64;

    /// <summary>libvirt's number of its run; null when it does not run.</summary>
    internal int? RunId { get; set; } = 1;

    internal string ToXml()
    {
        string xml = new TestDomain(Name)
        {
            Uuid = Uuid,
            Metadata = Metadata,
            Extra = $"<currentMemory unit='MiB'>{CurrentMemoryMiB}</currentMemory>",
        }.ToXml();
        return RunId is null ? xml : xml.Replace("<domain ", $"<domain id='{RunId}' ", StringComparison.Ordinal);
    }
}
