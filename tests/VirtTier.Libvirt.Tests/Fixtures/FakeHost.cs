// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Libvirt.Tests.Fixtures;

/// <summary>A host in memory: libvirt-dbus, machined and processes, each of which can fail in its own ways.</summary>
internal sealed class FakeHost : IHostProcesses
{
    internal const string DomainInterface = "org.libvirt.Domain", ConnectInterface = "org.libvirt.Connect";

    private readonly List<(ProcessIdentity Process, Action Ended)> _watches = [];

    private int _progress;

    internal FakeHost()
    {
        Bus.Services["org.libvirt"] = AnswerLibvirt;
        Monitor = new(Bus, this, new DomainMonitorOptions { RunDirectory = "/run", Progress = () => Interlocked.Increment(ref _progress) }, Time, Log);
    }

    internal FakeBus Bus { get; } = new();

    internal ManualTime Time { get; } = new();

    internal RecordingLogger<DomainMonitor> Log { get; } = new();

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
        Processes[pid] = (1000ul + (ulong)pid, ["qemu-system-x86_64", "-uuid", domain.Uuid.ToString(), "-m", "64"]);
        LockHolders[$"/run/{name}.pid"] = pid;
        return domain;
    }

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

    int? IHostProcesses.FindLockHolder(string pidFile) =>
        LockHolders.TryGetValue(pidFile, out int pid) ? pid : null;

    ProcessIdentity? IHostProcesses.Identify(int pid) =>
        Processes.TryGetValue(pid, out var process) ? new(pid, process.StartTime) : null;

    IReadOnlyList<string> IHostProcesses.ReadCommandLine(int pid) =>
        Processes.TryGetValue(pid, out var process) ? process.Arguments : [];

    IDisposable? IHostProcesses.WatchEnd(ProcessIdentity process, Action ended)
    {
        if (!CanWatch)
            return null;
        _watches.Add((process, ended));
        return new Watch(() => _watches.Remove((process, ended)));
    }

    IDisposable? IHostProcesses.WatchPidFiles(string directory, Action changed) => null;

    private async Task<BusBody> AnswerLibvirt(BusCall call)
    {
        await LibvirtBlock;
        FakeDomain? domain = Domains.FirstOrDefault(d => d.Path == call.Path);
        if (domain is not null)
            await domain.Block;
        switch (call.Member)
        {
            case "ListDomains":
                return new("ao", new object[] { Domains.Select(d => d.Path).ToArray() });
            case "GetAllDomainStats":
                return new("a(sa{sv})", new object[] { Domains.Select(object (d) => new object[]
                    { d.Name, new Dictionary<string, object> { ["state.state"] = d.State, ["state.reason"] = 1 } }).ToArray() });
            case "GetXMLDesc" when domain is { Readable: true }:
                return new("s", domain.ToXml());
            case "GetJobInfo" when domain is not null:
                return new("(ittttttttttt)", new object[] { new object[] { domain.JobType, 0ul } });
            default:
                throw new BusException("org.libvirt.Error", $"Domain not found: {call.Path}");
        }
    }

    private sealed class Watch(Action end) : IDisposable
    {
        public void Dispose() => end();
    }
}

/// <summary>A domain of <see cref="FakeHost"/>.</summary>
internal sealed class FakeDomain(string name)
{
    internal string Name { get; } = name;

    internal Guid Uuid { get; } = Guid.NewGuid();

    internal string Path => "/org/libvirt/QEMU/domain/_" + Uuid.ToString().Replace('-', '_');

    /// <summary>libvirt's number: 1 runs, 3 is paused.</summary>
    internal int State { get; set; } = 1;

    /// <summary>libvirt's number: 0 is no job, 2 is one of unknown length.</summary>
    internal int JobType { get; set; }

    internal string Metadata { get; set; } = "";

    internal bool Readable { get; set; } = true;

    /// <summary>Calls about this domain are answered only when it completes.</summary>
    internal Task Block { get; set; } = Task.CompletedTask;

    internal int CurrentMemoryMiB { get; set; } = 64;

    internal string ToXml() => new TestDomain(Name)
    {
        Uuid = Uuid,
        Metadata = Metadata,
        Extra = $"<currentMemory unit='MiB'>{CurrentMemoryMiB}</currentMemory>",
    }.ToXml();
}
