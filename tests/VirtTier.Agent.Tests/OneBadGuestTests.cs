// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Sampling;
using System.Diagnostics;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Memory;

namespace VirtTier.Agent.Tests;

/// <summary>
/// Whatever goes wrong with one guest, in every step of following it: the others are attached, tiered and let go as if it were
/// not there, and it is
/// tiered itself as soon as the fault is over.
/// </summary>
public sealed class OneBadGuestTests : IAsyncDisposable
{
    private static readonly string[] s_steps =
        ["Attach", "GetInfo", "GetMemslots", "Harvest", "SampleFaults", "ReadSamples", "Dispose", "MovePages", "QueryPages",
            "CheckNode", "ReadBindings", "FreeBytes"];

    private readonly FakeHost _host = new() { HotPages = [1, 2, 3] };
    private readonly List<Process> _processes = [];
    private readonly Dictionary<int, (string Step, Action Fail)> _faults = [];
    private readonly Reconciler _reconciler;

    public OneBadGuestTests()
    {
        AgentConfig config = new() { Defaults = new TieringSettings { Dram = SizeSpec.Parse("4MiB") } };
        FaultyKernel kernel = new(_host, Do);
        _reconciler = new Reconciler(config, _host.Context(config, kernel, kernel));
    }

    public async ValueTask DisposeAsync()
    {
        lock (_faults)
            _faults.Clear();
        await _reconciler.DisposeAsync();
        _host.Dispose();
        foreach (Process process in _processes)
        {
            process.Kill();
            process.Dispose();
        }
    }

    public static TheoryData<string, string> Faults
    {
        get
        {
            TheoryData<string, string> faults = [];
            foreach (string step in s_steps)
            {
                foreach (string fault in s_exceptions.Keys)
                    faults.Add(step, fault);
            }
            return faults;
        }
    }

    private static readonly Dictionary<string, Func<Exception>> s_exceptions = new()
    {
        ["unexpected"] = () => new InvalidOperationException("out of everything"),
        ["cancelled by somebody else"] = () => new OperationCanceledException(),
        ["process gone, which it has not"] = () => new GuestMemoryException(GuestMemoryError.ProcessGone, "no such process"),
        ["failed"] = () => new GuestMemoryException(GuestMemoryError.Failed, "errno 5"),
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task A_step_fails(string step, string fault)
    {
        _host.HugePages = step.Contains("Sample", StringComparison.Ordinal);
        RunningDomain bad = StartDomain("bad"), good = Domains.Running(name: "good"), later = Domains.Running(name: "later");
        int failed = 0;
        FailIn(step, bad, () =>
        {
            Interlocked.Increment(ref failed);
            throw s_exceptions[fault]();
        });
        await _reconciler.ReconcileAsync(Domains.Snapshot(bad, good));
        await UntilTieredAsync(good);
        if (step != "Dispose")
        {
            await Eventually.IsTrue(() => Volatile.Read(ref failed) > 0);
            await _reconciler.ReconcileAsync(Domains.Snapshot(bad, good, later));
            await UntilTieredAsync(later);
            lock (_faults)
                _faults.Clear();
            // It was thought to have gone, perhaps; the picture, which is looked at every few seconds, says otherwise.
            await UntilTieredAsync(bad, meanwhile: _reconciler.DivideAgainAsync);
        }

        await _reconciler.ReconcileAsync(Domains.Snapshot(good, later));
        await Eventually.IsTrue(() => Volatile.Read(ref failed) > 0);
        await UntilTieredAsync(good);
        await UntilTieredAsync(later);
        Assert.Equal(["good", "later"], _reconciler.Status().Domains.Select(d => d.Name));
        await _reconciler.ReconcileAsync(Domains.Snapshot(bad, good, later));
        await UntilTieredAsync(bad);
    }

    [Fact]
    public async Task Steps_that_do_not_come_back_hold_up_nobody()
    {
        using ManualResetEventSlim over = new();
        string[] steps = ["Attach", "GetInfo", "Harvest", "Dispose", "MovePages", "QueryPages"];
        RunningDomain[] bad = [.. steps.Select(StartDomain)];
        int stuck = 0;
        foreach (RunningDomain domain in bad)
        {
            FailIn(domain.Name, domain, () =>
            {
                Interlocked.Increment(ref stuck);
                over.Wait();
            });
        }
        try
        {
            RunningDomain good = Domains.Running(name: "good"), later = Domains.Running(name: "later");
            await _reconciler.ReconcileAsync(Domains.Snapshot([.. bad, good]));
            await UntilTieredAsync(good);
            // all but the one that is yet to be let go
            await Eventually.IsTrue(() => Volatile.Read(ref stuck) == steps.Length - 1);

            await _reconciler.ReconcileAsync(Domains.Snapshot(good, later)).WaitAsync(
                TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
            await UntilTieredAsync(good);
            await UntilTieredAsync(later);
            await Eventually.IsTrue(() => steps.Length == _host.Log.Lines.Count(
                line => line.Contains("does not come back", StringComparison.Ordinal)));
        }
        finally
        {
            over.Set();
        }
        await Eventually.IsTrue(() => _host.Attached == 2);
    }

    /// <summary>No libvirt says so; each would have ended the loop that follows all domains.</summary>
    [Fact]
    public async Task A_domain_that_cannot_be_counted_with_is_left_alone_and_said_so_once()
    {
        RunningDomain good = Domains.Running(name: "good");
        RunningDomain bad = Domains.Running(name: "bad");
        bad = bad with { Settings = bad.Settings with { Dram = SizeSpec.FromBytes(ulong.MaxValue) } };
        for (int i = 0; i < 2; i++)
            await _reconciler.ReconcileAsync(Domains.Snapshot(bad, good));
        await UntilTieredAsync(good);
        Assert.Equal(["good"], _reconciler.Status().Domains.Select(d => d.Name));
        Assert.Single(_host.Log.Lines, line => line.Contains("domain bad is left alone", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Two_domains_of_one_uuid_do_not_keep_a_configuration_from_being_put_in_force()
    {
        RunningDomain good = Domains.Running(name: "good");
        await _reconciler.ReconcileAsync(Domains.Snapshot(good, good with { Name = "twin", Process = null }));
        AgentConfig config = new() { Defaults = new TieringSettings { Dram = SizeSpec.Parse("2MiB") } };
        await _reconciler.ReconfigureAsync(config, _host.Context(config).Host);
        Assert.Equal(2L << 20, Assert.Single(_reconciler.Status().Domains).BudgetBytes);
    }

    private RunningDomain StartDomain(string name)
    {
        Process process = Process.Start("sleep", "1000");
        _processes.Add(process);
        _host.AddProcess(process.Id);
        return Domains.Running(name: name) with { Process = new(process.Id, ProcessFacts.ReadStartTime(process.Id)) };
    }

    private void FailIn(string step, RunningDomain domain, Action fail)
    {
        lock (_faults)
            _faults[domain.Process!.Value.Pid] = (step, fail);
    }

    private void Do(string step, int pid)
    {
        (string Step, Action Fail) fault;
        lock (_faults)
        {
            if (!_faults.TryGetValue(pid, out fault) || fault.Step != step)
                return;
        }
        fault.Fail();
    }

    /// <summary>Waits for two rounds from now on.</summary>
    private async Task UntilTieredAsync(RunningDomain domain, Func<Task>? meanwhile = null)
    {
        long Rounds() => _reconciler.Status().Domains.SingleOrDefault(d => d.Name == domain.Name)?.Rounds ?? 0;
        long before = Rounds();
        using CancellationTokenSource over = new();
        Task loop = meanwhile is null ? Task.CompletedTask : Task.Run(async () =>
        {
            while (!over.IsCancellationRequested)
            {
                await meanwhile();
                await Task.Delay(20, CancellationToken.None);
            }
        });
        await Eventually.IsTrue(() => Rounds() >= before + 2, domain.Name);
        await over.CancelAsync();
        await loop;
    }

    /// <summary>A kernel that does something in each step before it does its work.</summary>
    private sealed class FaultyKernel(FakeHost host, Action<string, int> before) : IGuestSamplerFactory, INumaCalls
    {
        // FreeBytes is not of a process, but asked for one.
        private readonly AsyncLocal<int> _pid = new();

        public IGuestSampler Attach(int pid)
        {
            _pid.Value = pid;
            before("Attach", pid);
            return new TroubledSampler(host.Attach(pid), step => before(step, pid));
        }

        public int MovePages(int pid, ReadOnlySpan<ulong> addresses, int node, Span<int> status, MoveScope scope)
        {
            before("MovePages", pid);
            return host.MovePages(pid, addresses, node, status, scope);
        }

        public int QueryPages(int pid, ReadOnlySpan<ulong> addresses, Span<int> status)
        {
            before("QueryPages", pid);
            return host.QueryPages(pid, addresses, status);
        }

        public ForbiddenNode? CheckNode(int pid, int node)
        {
            before("CheckNode", pid);
            return host.CheckNode(pid, node);
        }

        public IReadOnlyList<MemoryBinding> ReadBindings(int pid)
        {
            before("ReadBindings", pid);
            return host.ReadBindings(pid);
        }

        public TimeSpan ThreadTime() => host.ThreadTime();

        public long FreeBytes(int node)
        {
            before("FreeBytes", _pid.Value);
            return host.FreeBytes(node);
        }
    }

    private sealed class TroubledSampler(IGuestSampler inner, Action<string> before) : IGuestSampler
    {
        public SamplerInfo GetInfo() => Do("GetInfo").GetInfo();

        public IReadOnlyList<Memslot> GetMemslots() => Do("GetMemslots").GetMemslots();

        public HarvestResult Harvest(GfnRange range, HarvestBuffers buffers, HarvestOptions options) =>
            Do("Harvest").Harvest(range, buffers, options);

        public void SampleFaults(AccessKinds kinds, int samplesPerSecond) =>
            Do("SampleFaults").SampleFaults(kinds, samplesPerSecond);

        public int ReadSamples(Span<AccessSample> destination) => Do("ReadSamples").ReadSamples(destination);

        public bool WaitForSamples(TimeSpan timeout) => inner.WaitForSamples(timeout);

        public void Dispose()
        {
            try
            {
                before("Dispose");
            }
            finally
            {
                inner.Dispose();
            }
        }

        private IGuestSampler Do(string step)
        {
            before(step);
            return inner;
        }
    }
}
