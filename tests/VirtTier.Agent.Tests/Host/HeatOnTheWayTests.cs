// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// Heat that real libvirts carry from a QEMU to another: between two hosts, and by way of a saved image. The kernel module and
/// the slow node are stand-ins: what a guest touches is told here, and a page is where it was last moved to.
/// </summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class HeatOnTheWayTests : IAsyncLifetime
{
    private const int MemoryMiB = 64, BudgetMiB = 8;
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_never = TimeSpan.FromDays(1);

    // Three quarters of the budget in 2 MiB that are hot as a whole and in some that are by a part.
    private static readonly int[] s_hot = [.. Enumerable.Range(4096, 1536)];

    private readonly StandInKernel _sourceKernel = new() { Touched = (_, harvests) => Turn(harvests / 2) };
    private readonly StandInKernel _destinationKernel = new() { Touched = (_, harvests) => Turn(harvests / 2) };
    private PrivateHost _source = null!, _destination = null!;
    private TieredHost _atSource = null!, _atDestination = null!;
    private TestDomain _domain = null!;

    // A quarter of the hot set in each round of two harvests.
    private static IEnumerable<int> Turn(int round) => s_hot.Where(frame => frame / 128 % 4 == round % 4);

    public async ValueTask InitializeAsync()
    {
        _source = await PrivateHost.StartAsync("source");
        _destination = await PrivateHost.StartAsync("destination");
        _atSource = TieredHost.Of(_source, _sourceKernel, s_interval, carry: TimeSpan.FromSeconds(1));
        _atDestination = TieredHost.Of(_destination, _destinationKernel, s_interval, carry: s_never);
        await _atDestination.Watched.UntilLinkAsync(connected: true);
        string image = await _source.WriteFileAsync("dirty.img", BootSector.DirtiesMemory);
        _domain = new TestDomain("web1")
        {
            MemoryMiB = MemoryMiB,
            Metadata = TestDomain.MetadataOf($"dram='{BudgetMiB}MiB'"),
            Extra = "<memoryBacking><allocation mode='immediate'/></memoryBacking>",
        }.BootingFrom(image);
    }

    public async ValueTask DisposeAsync()
    {
        await _atSource.DisposeAsync();
        await _atDestination.DisposeAsync();
        await _source.DisposeAsync();
        await _destination.DisposeAsync();
        _sourceKernel.Dispose();
        _destinationKernel.Dispose();
    }

    private static async Task<string> HeatAsync(PrivateHost host, string copy = "--live")
    {
        (int exitCode, string output) = await host.TryVirshAsync("metadata", "web1", "--uri", HeatMetadata.Namespace, copy);
        return exitCode == 0 && !output.Contains("<heat/>", StringComparison.Ordinal) ? output.Trim() : "";
    }

    private static DomainStatus? Find(TieredHost host) => host.Reconciler.Status().Domains.FirstOrDefault(d => d.Name == "web1");

    private static double HotShare(StandInKernel kernel, int pid) => kernel.CountFast(pid, s_hot) / (double)s_hot.Length;

    private async Task LearnAsync()
    {
        int pid = _source.ReadPid("web1");
        await Eventually.IsTrue(() => StandInKernel.Peek(pid, BootSector.DirtiedAddress) != 0, () => "the guest does not write");
        await Eventually.IsTrue(
            () => Find(_atSource) is { HeatRounds: > 30 } && HotShare(_sourceKernel, pid) == 1, _atSource.ToString);
        await Eventually.IsTrue(async () => (await HeatAsync(_source)).Length > 0, _atSource.ToString);
    }

    private async Task<int> ArriveAsync(Task<(int ExitCode, string Output)> migration)
    {
        await _source.LetMigrationEndAsync("web1");
        (int exitCode, string output) = await migration;
        Assert.True(exitCode == 0, output);
        return _destination.ReadPid("web1");
    }

    private static void RequireWithin(int fast, TieredHost host)
    {
        Assert.InRange(Find(host)!.FastBytes, 1, BudgetMiB << 20);
        Assert.InRange(fast, 1, BudgetMiB << 8);
    }

    [Fact]
    public async Task It_arrives_with_the_guest_which_is_within_its_budget_before_it_runs()
    {
        await _source.DefineAsync(_domain);
        await _source.VirshAsync("start", "web1");
        await LearnAsync();
        Assert.Equal("", await HeatAsync(_source, "--config"));

        Task<(int ExitCode, string Output)> migration = await _source.StartEndlessMigrationAsync("web1", _destination);
        await Eventually.IsTrue(() => Find(_atDestination) is { State: TieringState.Paused, DemotedPages: > 0 } there
            && there.FastBytes <= BudgetMiB << 20, _atDestination.ToString);
        int pid = _destination.ReadPid("web1");
        Assert.Equal(0, _destinationKernel.WorkOn(pid).Harvests);
        Assert.Equal(1, HotShare(_destinationKernel, pid));

        double least = 1;
        _destinationKernel.Touched = (_, harvests) =>
        {
            least = harvests is > 0 and <= 4 ? Math.Min(least, HotShare(_destinationKernel, pid)) : least;
            return Turn(harvests / 2);
        };
        Assert.Equal(pid, await ArriveAsync(migration));
        await Eventually.IsTrue(() => _destinationKernel.WorkOn(pid).Harvests > 8, _atDestination.ToString);
        Assert.InRange(least, 0.9, 1);
        RequireWithin(_destinationKernel.CountFast(pid, Enumerable.Range(0, MemoryMiB << 8)), _atDestination);
        Assert.Single(_atDestination.Watched.Log.Lines, l => l.Contains("begins with the heat", StringComparison.Ordinal));
        await Eventually.IsTrue(async () => (await HeatAsync(_destination)).Length == 0, _atDestination.ToString);
        // The definition stayed at the source, as it was.
        Assert.Equal("", await HeatAsync(_source, "--config"));
    }

    [Fact]
    public async Task A_transient_domain_made_lasting_at_the_destination_has_none_in_its_definition()
    {
        await _source.CreateAsync(_domain);
        await LearnAsync();
        await _source.VirshAsync("migrate-setmaxdowntime", "web1", "2000");
        await _source.VirshAsync("migrate", "web1", _destination.Connection, "--live", "--persistent", "--migrateuri",
            "tcp://127.0.0.1", "--unsafe");
        await Eventually.IsTrue(
            async () => (await HeatAsync(_destination)).Length == 0 && (await HeatAsync(_destination, "--config")).Length == 0,
            _atDestination.ToString);
        Assert.Contains("<heat/>", await _destination.VirshAsync(
            "metadata", "web1", "--uri", HeatMetadata.Namespace, "--config"), StringComparison.Ordinal);
        Assert.Single(_atDestination.Watched.Log.Lines, l => l.Contains("begins with the heat", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Cancelled_failed_and_repeated_it_leaves_nothing_and_arrives_at_last()
    {
        await _source.CreateAsync(_domain);
        await LearnAsync();
        for (int time = 0; time < 3; time++)
        {
            Task<(int ExitCode, string Output)> migration = await _source.StartEndlessMigrationAsync("web1", _destination);
            await Eventually.IsTrue(() => Find(_atDestination) is { State: TieringState.Paused, DemotedPages: > 0 },
                _atDestination.ToString);
            // Nobody may write metadata now.
            if (time == 0)
            {
                Task<(int ExitCode, string Output)> late = _source.TryVirshAsync(
                    "metadata", "web1", "--uri", "urn:x", "--key", "x", "--live", "--set", "<x/>");
                await _source.VirshAsync("domjobabort", "web1");
                _ = await late;
            }
            else if (time == 1)
                await _source.VirshAsync("domjobabort", "web1");
            else
                Assert.True(_destination.KillQemu("web1"));
            Assert.NotEqual(0, (await migration).ExitCode);
            await _atDestination.Watched.UntilGoneAsync("web1");
            Assert.Equal("", await _destination.VirshAsync("list", "--all", "--name"));
            await Eventually.IsTrue(() => Find(_atSource) is { State: TieringState.Tiering }, _atSource.ToString);
            string xml = await _source.VirshAsync("dumpxml", "web1");
            Assert.Equal(2, xml.Split("<virttier-heat:heat").Length);
        }
        await ArriveAsync(await _source.StartEndlessMigrationAsync("web1", _destination));
        await Eventually.IsTrue(() => _atDestination.Watched.Log.Lines.Count(
            l => l.Contains("begins with the heat", StringComparison.Ordinal)) == 1, _atDestination.ToString);
        await Eventually.IsTrue(async () => (await HeatAsync(_destination)).Length == 0, _atDestination.ToString);
    }

    [Fact]
    public async Task Saved_and_restored_the_guest_goes_on_with_its_heat_and_started_anew_it_does_not()
    {
        await _source.DefineAsync(_domain);
        await _source.VirshAsync("start", "web1");
        await LearnAsync();
        int before = _source.ReadPid("web1");
        await _source.VirshAsync("managedsave", "web1");
        await _atSource.Watched.UntilGoneAsync("web1");
        await _source.VirshAsync("start", "web1");
        await Eventually.IsTrue(() => _atSource.Watched.Log.Lines.Count(
            l => l.Contains("begins with the heat", StringComparison.Ordinal)) == 1, _atSource.ToString);
        Assert.NotEqual(before, _source.ReadPid("web1"));
        Assert.Equal("", await HeatAsync(_source, "--config"));

        // By a mistake in the definition: of a guest that starts anew nothing is known.
        string heat = "";
        await Eventually.IsTrue(async () => (heat = await HeatAsync(_source)).Length > 0, _atSource.ToString);
        await _source.VirshAsync("destroy", "web1");
        await _source.VirshAsync("metadata", "web1", "--uri", HeatMetadata.Namespace, "--key", "h", "--config", "--set", heat);
        await _source.VirshAsync("start", "web1");
        await Eventually.IsTrue(() => Find(_atSource) is { HeatRounds: > 4 }, _atSource.ToString);
        Assert.Single(_atSource.Watched.Log.Lines, l => l.Contains("begins with the heat", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_it_writes_itself_wakes_nobody()
    {
        await _source.CreateAsync(_domain);
        await LearnAsync();
        string first = await HeatAsync(_source);
        long version = _atSource.Watched.Monitor.Current.Version;
        int reads = _atSource.Watched.Bus.CallsOf("GetXMLDesc");
        _sourceKernel.Touched = (_, harvests) => Turn(harvests / 2).Select(frame => frame + 4096);
        await Eventually.IsTrue(async () => await HeatAsync(_source) is { Length: > 0 } now && now != first, _atSource.ToString);
        Assert.Equal(version, _atSource.Watched.Monitor.Current.Version);
        Assert.Equal(reads, _atSource.Watched.Bus.CallsOf("GetXMLDesc"));
    }
}
