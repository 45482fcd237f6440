// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// Chaos of a source beside libvirt, on a host without one: real QEMUs with real locks, in directories of the test's own. What is
/// true is what was done to them, and what the kernel says of their processes; the module is stood in for.
/// </summary>
internal abstract class SourceChaos : ChaosRun
{
    /// <summary>Memory of a VM, in MiB.</summary>
    protected const int MemoryMiB = 32;

    private const int MostVms = 4;

    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(200);

    private readonly string _root = Directory.CreateTempSubdirectory("vt-chaos-").FullName;
    private readonly StandInKernel _kernel = new();
    private readonly FakeLog _log = new();
    private readonly (int Weight, Func<Task> Step)[] _steps;
    private AgentUnderChaos? _agent;
    private int _made;

    protected SourceChaos(int seed)
        : base(seed)
    {
        HostRing.RequireRoot();
        HostRing.RequirePrograms("qemu-system-x86_64");
        _steps =
        [
            (20, () => StartAsync(_made + 1)),
            (8, StartAgainAsync),
            (8, () => OnAnyAsync(vm => EndAsync(vm, Daemon.SigKill))),
            (6, () => OnAnyAsync(vm => EndAsync(vm, Daemon.SigTerm))),
            (8, () => OnAnyAsync(StopAsync)),
            (8, () => OnAnyAsync(ContinueAsync)),
            (16, () => OnAnyAsync(SetAsync)),
            (4, () => OnAnyAsync(StormAsync)),
            (8, AwayAsync),
            (6, LeaveLitterAsync),
            (8, RestartAgentAsync),
        ];
    }

    /// <summary>The VMs that live.</summary>
    protected List<Vm> Vms { get; } = [];

    /// <summary>The numbers of VMs that have ended and may be started again.</summary>
    protected List<int> Ended { get; } = [];

    /// <summary>Where the agent looks.</summary>
    protected abstract SourceOptions Sources { get; }

    /// <summary>Directories that the agent needs, one of which may be away for a while.</summary>
    protected abstract IReadOnlyList<string> Directories { get; }

    /// <summary>What the agent's configuration says.</summary>
    protected virtual string Configuration => "";

    /// <summary>The reconciler of the agent that runs.</summary>
    protected Reconciler Reconciler => _agent!.Reconciler;

    /// <summary>The host's memory.</summary>
    protected HostMemory Memory => _agent!.Memory;

    public override async ValueTask DisposeAsync()
    {
        if (_agent is not null)
            await _agent.DisposeAsync();
        foreach (Vm vm in Vms)
            vm.Process?.Dispose();
        _kernel.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    internal override async Task StepAsync()
    {
        _agent ??= NewAgent();
        await (Vms.Count == 0 ? StartAsync(_made + 1) : Choose(_steps)());
    }

    internal override Task<TimeSpan> SettleAsync() => SettleAsync(
        "the host", ReadTruthAsync, ReadPicture, () => $"{Reconciler.Status().ToJson()}\n{string.Join('\n', _log.Lines)}");

    protected string At(string path) => Path.Combine(_root, path);

    /// <summary>The processes as the agent sees them.</summary>
    protected virtual IHostProcesses Seen(LinuxProcesses processes) => processes;

    /// <summary>Starts the QEMU of a VM, with the settings that it had before.</summary>
    protected abstract Task<Vm> StartQemuAsync(int number);

    /// <summary>Ends it by a signal.</summary>
    protected virtual Task EndQemuAsync(Vm vm, int signal) => vm.Process!.EndAsync(signal);

    /// <summary>Stops or continues it.</summary>
    protected virtual Task StopQemuAsync(Vm vm, bool stop)
    {
        vm.Process!.Signal(stop ? Daemon.SigStop : Daemon.SigCont);
        return Task.CompletedTask;
    }

    /// <summary>Makes a VM's settings those that <see cref="Vm.Settings"/> has.</summary>
    protected abstract Task WriteSettingsAsync(Vm vm);

    /// <summary>Puts something beside a VM's files that is none.</summary>
    protected abstract Task LeaveLitterAsync();

    /// <summary>What a VM can be told, by chance.</summary>
    protected virtual VmSettings AnySettings() => Chance.Next(6) switch
    {
        0 => VmSettings.None,
        1 => VmSettings.None with { IsBad = true },
        2 => new(Chance.Next(1, 1000), IsOff: true, IsBad: false),
        _ => new(Chance.Next(1, 1000), IsOff: false, IsBad: false),
    };

    /// <summary>A real QEMU, which has its memory, and holds the lock of its pid file, before this returns: one that is stopped
    /// earlier is no guest yet.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="pidFile">The file; null for none.</param>
    /// <param name="more">More arguments.</param>
    protected async Task<Daemon> StartQemuAsync(string name, string? pidFile, params string[] more)
    {
        string[] arguments =
        [
            "qemu-system-x86_64", "-machine", "pc", "-display", "none", "-nodefaults", "-name",
            $"guest={name},debug-threads=on", "-m", $"{MemoryMiB}", .. pidFile is null ? (string[])[] : ["-pidfile", pidFile],
            .. more,
        ];
        Daemon qemu = Daemon.Start(
            At("qemu.log"), new Dictionary<string, string>(), ["env", $"--chdir={_root}", .. arguments]);
        using LinuxProcesses processes = new();
        await Eventually.IsTrue(
            () => qemu.HasEnded || (StandInKernel.ReadRam(qemu.Pid).Count > 0
                && (pidFile is null || processes.FindLockHolder(pidFile) == qemu.Pid)),
            () => $"{name} does not start");
        Assert.False(qemu.HasEnded, $"{name} has ended: {File.ReadAllText(At("qemu.log"))}");
        return qemu;
    }

    /// <summary>Changes where the agent looks, as a reload of its configuration does.</summary>
    protected void LookAt(SourceOptions sources) => _agent!.Domains.Sources = sources;

    private async Task StartAsync(int number)
    {
        if (Vms.Count >= MostVms)
            return;
        _made = Math.Max(_made, number);
        Ended.Remove(number);
        Vm vm = await StartQemuAsync(number);
        Vms.Add(vm);
        Note($"start {vm.Name}");
    }

    private Task StartAgainAsync() =>
        Ended.Count == 0 ? StartAsync(_made + 1) : StartAsync(Ended[Chance.Next(Ended.Count)]);

    private Task OnAnyAsync(Func<Vm, Task> step) => step(Vms[Chance.Next(Vms.Count)]);

    private async Task EndAsync(Vm vm, int signal)
    {
        Note($"kill -{signal} {vm.Name}");
        if (vm.IsStopped && signal != Daemon.SigKill)
            await StopQemuAsync(vm, stop: false); // a process that is stopped takes no other signal
        await EndQemuAsync(vm, signal);
        Vms.Remove(vm);
        Ended.Add(vm.Number);
        vm.Process?.Dispose();
    }

    private async Task StopAsync(Vm vm)
    {
        Note($"stop {vm.Name}");
        await StopQemuAsync(vm, stop: true);
        vm.IsStopped = true;
    }

    private async Task ContinueAsync(Vm vm)
    {
        Note($"continue {vm.Name}");
        await StopQemuAsync(vm, stop: false);
        vm.IsStopped = false;
    }

    private async Task SetAsync(Vm vm)
    {
        vm.Settings = AnySettings();
        Note($"{vm.Name} wants {vm.Settings}");
        await WriteSettingsAsync(vm);
    }

    private async Task StormAsync(Vm vm)
    {
        Note($"a storm of settings of {vm.Name}");
        for (int i = 0; i < 50; i++)
        {
            vm.Settings = AnySettings();
            await WriteSettingsAsync(vm);
        }
    }

    /// <summary>What the agent looks at is away for longer than it takes to look: nothing of any VM changes by that.</summary>
    private async Task AwayAsync()
    {
        await SettleAsync();
        string directory = Directories[Chance.Next(Directories.Count)], elsewhere = directory + ".away";
        Note($"{Path.GetFileName(directory)} is away");
        Directory.Move(directory, elsewhere);
        await Task.Delay(new DomainMonitorOptions().Heartbeat + s_interval);
        string picture = ReadPicture(), truth = await ReadTruthAsync();
        Directory.Move(elsewhere, directory);
        Assert.True(
            picture == truth, $"while {directory} is away, the picture is\n{picture}\nand not\n{truth}\nafter: {Journal}");
    }

    private async Task RestartAgentAsync()
    {
        Note("restart the agent");
        await _agent!.DisposeAsync();
        Assert.Empty(_kernel.SampledPids);
        _agent = NewAgent();
    }

    private AgentUnderChaos NewAgent() => new(this);

    /// <summary>What was done to the VMs, and what the kernel says of their processes, told by another program.</summary>
    private async Task<string> ReadTruthAsync()
    {
        List<string> lines = [];
        Vm[] vms = [.. Vms.OrderBy(vm => vm.Id, StringComparer.Ordinal)];
        ProcessStartInfo start = new("cat", vms.Select(vm => string.Create(CultureInfo.InvariantCulture, $"/proc/{vm.Pid}/stat")))
        {
            RedirectStandardOutput = true,
        };
        if (vms.Length == 0)
            return "";
        using Process cat = Process.Start(start)!;
        string[] stats = (await cat.StandardOutput.ReadToEndAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        foreach (Vm vm in vms)
        {
            string state = Array.Find(stats, line => line.StartsWith($"{vm.Pid} ", StringComparison.Ordinal)) is { } stat
                ? stat[(stat.LastIndexOf(')') + 2)..][..1] : "gone";
            // Nobody but this test may end or stop a VM.
            Assert.True(state is "R" or "S" or "D" || (state == "T" && vm.IsStopped), $"{vm.Name} is {state} after: {Journal}");
            lines.Add(Describe(vm.Id, vm.Name, vm.Pid, vm.Settings, [.. vm.Settings.IsOff ? (int[])[] : [vm.Pid]]));
        }
        return string.Join('\n', lines);
    }

    /// <summary>What the agent thinks and has open.</summary>
    private string ReadPicture()
    {
        List<int> sampled = [.. _kernel.SampledPids];
        List<string> lines = [];
        foreach (DomainStatus domain in Reconciler.Status().Domains.OrderBy(domain => domain.Id, StringComparer.Ordinal))
        {
            SettingOrigin shares = domain.Settings.Single(setting => setting.Attribute == "shares");
            VmSettings settings = new(
                shares.From == "built in" ? null : int.Parse(shares.Value, CultureInfo.InvariantCulture), domain.Mode == "off",
                domain.Problems.Count > 0);
            lines.Add(Describe(domain.Id, domain.Name, domain.Pid, settings, [.. sampled.Where(pid => pid == domain.Pid)])
                + (domain.MemoryBytes == (long)MemoryMiB << 20 ? "" : $" with {domain.MemoryBytes} bytes"));
            sampled.RemoveAll(pid => pid == domain.Pid);
        }
        if (sampled.Count > 0)
            lines.Add($"samplers of nobody: {string.Join(", ", sampled)}");
        return string.Join('\n', lines);
    }

    /// <summary>With settings that cannot be used the last good ones hold, if the agent has seen any.</summary>
    private static string Describe(string id, string name, int? pid, VmSettings settings, int[] samplers) => string.Create(
        CultureInfo.InvariantCulture,
        $"{id} {name} pid {pid} {(settings.IsBad ? "bad settings" : $"{settings} samplers {string.Join(' ', samplers)}")}");

    /// <summary>A VM that runs.</summary>
    /// <param name="Number">Its number, which it keeps when it is started again.</param>
    /// <param name="Id">What the source knows it by.</param>
    /// <param name="Name">Its name.</param>
    /// <param name="Pid">Its QEMU.</param>
    /// <param name="Process">The same, where it is a child of the test.</param>
    protected sealed record Vm(int Number, string Id, string Name, int Pid, Daemon? Process)
    {
        internal VmSettings Settings { get; set; } = VmSettings.None;

        internal bool IsStopped { get; set; }
    }

    /// <summary>What a VM's owner asks for.</summary>
    /// <param name="Shares">Its shares; null: it says nothing.</param>
    /// <param name="IsOff">Whether its mode is off.</param>
    /// <param name="IsBad">Whether what is asked for cannot be used.</param>
    protected sealed record VmSettings(int? Shares, bool IsOff, bool IsBad)
    {
        internal static VmSettings None { get; } = new(null, false, false);

        public override string ToString() =>
            IsBad ? "what cannot be used" : $"shares {Shares} mode {(IsOff ? "off" : "enforce")}";
    }

    /// <summary>The agent's loops without a libvirt.</summary>
    private sealed class AgentUnderChaos : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly LinuxProcesses _processes = new();
        private readonly DomainMonitor _libvirt;
        private readonly Task[] _running;

        internal AgentUnderChaos(SourceChaos chaos)
        {
            DomainMonitorOptions options = new() { Source = LibvirtSource.Off };
            _libvirt = new(new FakeBus(), _processes, options, TimeProvider.System, chaos._log);
            Domains = new(_libvirt, chaos.Seen(_processes), chaos.Sources, options, TimeProvider.System, chaos._log);
            DomainLoopContext context = chaos._kernel.Context(s_interval, chaos._log);
            Memory = context.Host;
            Reconciler = new(ConfigReader.Read("virttier.yaml", chaos.Configuration), context);
            _running =
            [
                _libvirt.RunAsync(_stop.Token),
                Domains.RunOthersAsync(_stop.Token),
                Reconciler.ReconcileForeverAsync(Domains.WaitForChangeAsync, _ => { },
                    context.Loops.Add("following domains", LoopWatch.UsualLimit), _stop.Token),
            ];
        }

        internal HostMemory Memory { get; }

        internal HostDomains Domains { get; }

        internal Reconciler Reconciler { get; }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            foreach (Task running in _running)
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
            await Reconciler.DisposeAsync();
            Domains.Dispose();
            _libvirt.Dispose();
            _processes.Dispose();
            _stop.Dispose();
        }
    }
}
