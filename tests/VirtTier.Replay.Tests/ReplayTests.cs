// SPDX-License-Identifier: Apache-2.0
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using VirtTier.Primitives;
using VirtTier.Replay.Policies;
using VirtTier.Replay.Traces;
using Process = System.Diagnostics.Process;

namespace VirtTier.Replay.Tests;

/// <summary>The conventions of a replay on traces small enough to count by hand, and its formats.</summary>
public sealed class ReplayTests
{
    private static Trace Load(int rounds, int harvests, params (long Time, int Page)[] accesses) =>
        Trace.Load(() => accesses.Select(a => new TraceAccess(a.Time, (ulong)a.Page, AccessKind.Read)), rounds, harvests);

    private static TraceAccess[] Read(byte[] trace) => [.. TraceReader.Read(new MemoryStream(trace))];

    private static byte[] Gzip(byte[] content)
    {
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest))
            gzip.Write(content);
        return packed.ToArray();
    }

    [Fact]
    public void Rounds_and_harvests_are_equal_slices_of_time()
    {
        Trace trace = Load(rounds: 2, harvests: 2, (100, 7), (124, 8), (125, 7), (150, 9), (174, 9), (199, 7));
        Assert.Equal(3, trace.Pages);
        Assert.Equal(6, trace.Accesses);
        Assert.Equal([(0, 1), (1, 1)], trace.Slice(0, 0).ToArray().Select(t => (t.Page, t.Count)));
        Assert.Equal([(0, 1)], trace.Slice(0, 1).ToArray().Select(t => (t.Page, t.Count)));
        Assert.Equal([(2, 2)], trace.Slice(1, 0).ToArray().Select(t => (t.Page, t.Count)));
        Assert.Equal([(0, 1)], trace.Slice(1, 1).ToArray().Select(t => (t.Page, t.Count)));
    }

    [Theory]
    [InlineData(Allocation.Headroom)]
    [InlineData(Allocation.Populated)]
    public void Freeze_serves_the_first_touched_pages_fast(Allocation allocation)
    {
        Trace trace = Load(rounds: 2, harvests: 1, (0, 5), (1, 3), (2, 4), (3, 5), (4, 4), (9, 5));
        ReplayResult result = ReplayPolicies.Run(trace, "freeze", budget: 1, Observation.Bits, allocation, cost: 1);
        Assert.Equal(0.5, result.Share);
        Assert.Equal(0, result.Moves);
        Assert.Equal(result.Share, result.Net);
    }

    [Fact]
    public void A_write_counts_as_so_many_accesses()
    {
        TraceAccess[] accesses = [new(0, 5, AccessKind.Write), new(1, 6, AccessKind.Read), new(2, 6, AccessKind.Read),
            new(3, 6, AccessKind.Fetch)];
        Trace trace = Trace.Load(() => accesses, rounds: 1, harvests: 1, runPages: 1, writeWeight: 4);
        Assert.Equal(7, trace.Accesses);
        ReplayResult result = ReplayPolicies.Run(trace, "freeze", budget: 1, Observation.Bits, Allocation.Headroom, cost: 1);
        Assert.Equal(4.0 / 7, result.Share);
        Assert.Equal(
            4.0 / 7, ReplayPolicies.Run(trace, "oracle", budget: 1, Observation.Bits, Allocation.Headroom, cost: 1).Share);
    }

    [Fact]
    public void A_fault_sample_is_the_first_access_to_a_unit_after_a_moment_of_the_slice()
    {
        // In each slice of ten: reads of the run's page 3 at its beginning, and later a write of page 511
        // and a read of page 7 at one time.
        IEnumerable<TraceAccess> Accesses()
        {
            for (int slice = 0; slice < 1000; slice++)
            {
                yield return new TraceAccess((slice * 10) + 6, 512 + 511, AccessKind.Write);
                yield return new TraceAccess((slice * 10) + 6, 512 + 7, AccessKind.Read);
                for (int i = 0; i < 3; i++)
                    yield return new TraceAccess((slice * 10) + i, 512 + 3, AccessKind.Read);
                yield return new TraceAccess((slice * 10) + 7, 512, AccessKind.Read);
            }
            yield return new TraceAccess(9999, 512, AccessKind.Read); // so that the slices are of ten
        }
        Trace trace = Trace.Load(Accesses, rounds: 1000, harvests: 1, runPages: 512, writeWeight: 3);
        SampledAccess?[] samples = [.. Enumerable.Range(0, 999).Select(round => trace.Slice(round, 0)[0].Sample)];
        int Count(int? offset) => samples.Count(s => s?.Offset == offset);
        Assert.InRange(Count(3), 150, 250);     // moments up to 2
        Assert.InRange(Count(511), 150, 250);   // half of those up to 6
        Assert.InRange(Count(7), 150, 250);
        Assert.InRange(Count(0), 60, 140);
        Assert.InRange(Count(null), 250, 350);
        // the write is still to come, or just then
        Assert.All(samples, s => Assert.Equal(s?.Offset is 3 or 7 or 511, s?.IsWritten ?? false));
    }

    [Fact]
    public void Moves_count_both_ways_and_cost_what_was_asked()
    {
        // Page 1 fills the only place; page 2 is all that is accessed from the second round on.
        Trace trace = Load(rounds: 3, harvests: 1, (0, 1), (10, 2), (11, 2), (20, 2), (29, 2));
        ReplayResult result = ReplayPolicies.Run(trace, "naive", budget: 1, Observation.Bits, Allocation.Headroom, cost: 0.5);
        Assert.Equal(2, result.Moves);
        Assert.Equal(3, result.FastAccesses);
        Assert.Equal((3 - (0.5 * 2)) / 5, result.Net, 10);
    }

    [Fact]
    public void Bits_hide_what_counts_show()
    {
        // In the first round page 2 is accessed more often than page 1, which came first.
        (long, int)[] accesses = [(0, 1), (1, 2), (2, 2), (3, 2), (10, 2), (19, 2)];
        Trace trace = Load(rounds: 2, harvests: 1, accesses);
        Assert.Equal(0, ReplayPolicies.Run(trace, "naive", 1, Observation.Bits, Allocation.Headroom, 1).Moves);
        Assert.Equal(2, ReplayPolicies.Run(trace, "naive", 1, Observation.Counts, Allocation.Headroom, 1).Moves);
    }

    [Fact]
    public void Oracle_is_the_best_that_never_moves()
    {
        Trace trace = Load(rounds: 2, harvests: 1, (0, 1), (1, 2), (2, 2), (19, 3));
        Assert.Equal(0.5, ReplayPolicies.Run(trace, "oracle", 1, Observation.Bits, Allocation.Headroom, 1).Share);
    }

    [Theory]
    [InlineData("zipf", 1_500_000)]
    [InlineData("shift", 300_000)]
    [InlineData("stream", 300_000)]
    public void Own_policy_lies_between_freeze_and_hindsight(string family, int accesses)
    {
        TraceFamily chosen = TraceFamilies.All.Single(f => f.Name == family);
        Trace trace = Trace.Load(() => chosen.Generate(accesses, seed: 5), rounds: 25, harvests: 4);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        double Net(string policy) => ReplayPolicies.Run(trace, policy, budget, Observation.Bits, Allocation.Headroom, 1).Net;
        double freeze = Net("freeze");
        double own = Net("virttier");
        double hindsight = Net("hindsight");
        Assert.InRange(own, freeze + (0.3 * (hindsight - freeze)), hindsight + 0.01);
    }

    [Theory]
    [InlineData("scan")]
    [InlineData("loop")]
    [InlineData("uniform")]
    public void Where_nothing_can_be_gained_hardly_anything_moves(string family)
    {
        TraceFamily chosen = TraceFamilies.All.Single(f => f.Name == family);
        Trace trace = Trace.Load(() => chosen.Generate(300_000, seed: 5), rounds: 25, harvests: 4);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        ReplayResult Run(string policy) => ReplayPolicies.Run(trace, policy, budget, Observation.Bits, Allocation.Populated, 1);
        Assert.True(Run("virttier").Moves <= 0.05 * Run("naive").Moves);
        Assert.True(Run("virttier").Share >= Run("freeze").Share - 0.005);
    }

    [Fact]
    public void Every_policy_by_name_keeps_the_budget()
    {
        Trace trace = Trace.Load(() => TraceFamilies.All[1].Generate(50_000, seed: 3), rounds: 10, harvests: 4);
        int budget = ReplayEngine.BudgetOf(trace, 0.1);
        // A placement throws when a policy promotes beyond the budget.
        foreach (string policy in ReplayPolicies.Names)
        {
            ReplayResult result = ReplayPolicies.Run(trace, policy, budget, Observation.Counts, Allocation.Headroom, 1);
            Assert.InRange(result.Share, 0.02, 1);
        }
        Assert.Contains("there are virttier, freeze", Assert.Throws<ArgumentException>(
            () => ReplayPolicies.Run(trace, "best", budget, Observation.Bits, Allocation.Headroom, 1)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Text_is_read(bool zipped)
    {
        byte[] text = Encoding.ASCII.GetBytes("# a comment\n10 255 r\n\n12 0x100 w\n11  7 x\n");
        Assert.Equal(
            [new(10, 255, AccessKind.Read), new(12, 256, AccessKind.Write), new(11, 7, AccessKind.Fetch)],
            Read(zipped ? Gzip(text) : text));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Binary_comes_back_as_written(bool zipped)
    {
        Random random = new(1);
        TraceAccess[] accesses =
        [
            .. Enumerable.Range(0, 1000).Select(i => new TraceAccess(
                random.NextInt64(-1000, long.MaxValue / 2), (ulong)random.NextInt64(1L << 60), (AccessKind)random.Next(3))),
        ];
        using MemoryStream stream = new();
        TraceWriter writer = new(stream);
        foreach (TraceAccess access in accesses)
            writer.Write(access);
        byte[] written = stream.ToArray();
        Assert.Equal(accesses, Read(zipped ? Gzip(written) : written));
        Assert.Contains("ends in the middle", Assert.Throws<InvalidDataException>(() => Read(written[..^1])).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("10 5", "line 1: \"10 5\": a line is TIME_NS GFN OP")]
    [InlineData("10 5 r\nx 5 r", "line 2: \"x\": a time is")]
    [InlineData("10 -5 r", "line 1: \"-5\": a gfn is")]
    [InlineData("10 5 q", "line 1: \"q\": an access is r, w or x")]
    public void Bad_lines_are_named(string text, string message) =>
        Assert.Contains(
            message, Assert.Throws<InvalidDataException>(() => Read(Encoding.ASCII.GetBytes(text))).Message,
            StringComparison.Ordinal);

    [Theory]
    [InlineData(4)]
    [InlineData(200)]
    public void Zipped_trace_that_was_cut_off_is_no_trace(int lost)
    {
        byte[] zipped = Gzip(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, 1000).Select(
            i => $"{i} {i * 7919 % 1009} r\n"))));
        string message = Assert.Throws<InvalidDataException>(() => Read(zipped[..^lost])).Message;
        Assert.Contains("line ", message, StringComparison.Ordinal);
        Assert.Contains("gzip data breaks off", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Zipped_binary_trace_that_was_cut_off_is_no_trace()
    {
        using MemoryStream stream = new();
        TraceWriter writer = new(stream);
        for (int i = 0; i < 1000; i++)
            writer.Write(new TraceAccess(i, (ulong)(i * 7919 % 1009), AccessKind.Write));
        string message = Assert.Throws<InvalidDataException>(() => Read(Gzip(stream.ToArray())[..^4])).Message;
        Assert.Contains("record ", message, StringComparison.Ordinal);
        Assert.Contains("gzip data breaks off", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Own_policy_keeps_less_headroom_where_it_decides_by_harvest_and_no_other_differs()
    {
        TraceFamily growing = TraceFamilies.All.Single(f => f.Name == "growing");
        Trace trace = Trace.Load(() => growing.Generate(300_000, seed: 5), rounds: 25, harvests: 4);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        ReplayResult Run(string policy, Decision decision, Trace? cut = null) =>
            ReplayPolicies.Run(cut ?? trace, policy, budget, Observation.Bits, Allocation.Headroom, 1, samples: null, decision);
        double byHarvest = Run("virttier", Decision.Harvest).Net, byRound = Run("virttier", Decision.Round).Net;
        Assert.True(byHarvest > byRound + 0.005, $"net {byHarvest:F4} against {byRound:F4}");
        Assert.Equal(Run("naive", Decision.Round), Run("naive", Decision.Harvest));
        // With one harvest a round they are the same.
        Trace whole = Trace.Load(() => growing.Generate(300_000, seed: 5), rounds: 25, harvests: 1);
        Assert.Equal(Run("virttier", Decision.Round, whole), Run("virttier", Decision.Harvest, whole));
    }

    [Fact]
    public void A_plan_by_known_rates_lies_between_the_planner_and_hindsight()
    {
        TraceFamily shift = TraceFamilies.All.Single(f => f.Name == "shift");
        Trace Replica(int number) => Trace.Load(() => shift.Generate(300_000, seed: 5, number), rounds: 25, harvests: 4);
        Trace trace = Replica(0);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        ReplicaRates rates = new(trace, [.. Enumerable.Range(1, 4).Select(number => (Func<Trace>)(() => Replica(number)))]);
        double known = ReplayEngine.Run(
            trace, new HindsightPolicy(trace, budget, Allocation.Headroom, 1, rates), budget, Observation.Bits,
            Allocation.Headroom, 1, Decision.Round).Net;
        double Net(string policy) => ReplayPolicies.Run(trace, policy, budget, Observation.Bits, Allocation.Headroom, 1).Net;
        Assert.InRange(known, Net("virttier"), Net("hindsight") - 0.01);

        // The same pages are popular, and others are accessed.
        double total = 0, off = 0;
        for (int page = 0; page < trace.Pages; page++)
        {
            total += rates.Rate(page, 3);
            Assert.InRange(rates.ChanceOfBirth(page, 3), 0, 1);
        }
        Assert.InRange(total, 0.95 * 12_000, 12_000);
        foreach (PageTouch touch in trace.Slice(3, 0))
            off += Math.Abs((4 * touch.Count) - rates.Rate(touch.Page, 3));
        Assert.True(off > 0, "replicas are no copies");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_trace_may_come_through_a_pipe(bool split)
    {
        string recording = Path.Combine(AppContext.BaseDirectory, "Recordings", "sqlite.vttr.gz");
        string Play(string path)
        {
            StringWriter output = new();
            Assert.Equal(0, TraceReplay.Run(new ReplayOptions(path, 20)
            {
                RunPages = split ? PageSizes.BlockPages : 1,
                SplitPercent = split ? 10 : null,
            }, output));
            return output.ToString();
        }
        string pipe = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using (Process mkfifo = Process.Start("mkfifo", pipe))
            await mkfifo.WaitForExitAsync(TestContext.Current.CancellationToken);
        try
        {
            Task writing = Task.Run(
                () => File.WriteAllBytes(pipe, File.ReadAllBytes(recording)), TestContext.Current.CancellationToken);
            string played = Play(pipe);
            await writing;
            Assert.Equal(Play(recording), played);
        }
        finally
        {
            File.Delete(pipe);
        }
    }

    [Theory]
    [InlineData("0 1 r\n9 2 r\n", "0 1 r\n9 3 r\n")] // a page that was not there
    [InlineData("0 1 r\n9 2 r\n", "0 1 r\n10 2 r\n")] // a time
    [InlineData("0 1 r\n9 2 r\n", "0 1 r\n9 2 r\n9 2 r\n")] // more of them
    [InlineData("0 1 r\n9 2 r\n", "0 1 r\n")] // fewer
    public void A_trace_that_changes_while_it_is_read_is_refused(string first, string then)
    {
        int opened = 0;
        InvalidDataException changed = Assert.Throws<InvalidDataException>(() => Trace.Load(
            () => TraceReader.Read(new MemoryStream(Encoding.ASCII.GetBytes(opened++ == 0 ? first : then))),
            rounds: 2, harvests: 1));
        Assert.Contains("changed", changed.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_directory_is_no_trace()
    {
        IOException refused = Assert.Throws<IOException>(
            () => TraceReplay.Run(new ReplayOptions(AppContext.BaseDirectory, 20), TextWriter.Null));
        Assert.Contains("is a directory", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Command_prints_json_and_names_an_empty_trace()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, "0 1 r\n1 2 r\n2 2 r\n9 2 r\n");
            StringWriter output = new();
            Assert.Equal(0, TraceReplay.Run(new ReplayOptions(path, 50) { Rounds = 2, Policy = "freeze", Json = true }, output));
            using JsonDocument json = JsonDocument.Parse(output.ToString());
            Assert.Equal(0.25, json.RootElement.GetProperty("share").GetDouble());
            Assert.Equal(0, json.RootElement.GetProperty("moves").GetInt64());
            Assert.Equal(0.25, json.RootElement.GetProperty("net").GetDouble());
            Assert.Equal(4, json.RootElement.GetProperty("accesses").GetInt64());
            Assert.Equal(2, json.RootElement.GetProperty("pages").GetInt32());

            output.GetStringBuilder().Clear();
            File.WriteAllText(path, "0 1 r\n1 2 w\n2 2 r\n9 2 r\n");
            Assert.Equal(
                0,
                TraceReplay.Run(new ReplayOptions(path, 50)
                {
                    Rounds = 2,
                    Policy = "freeze",
                    Json = true,
                    WriteWeight = 3,
                    Samples = 5,
                }, output));
            using JsonDocument weighted = JsonDocument.Parse(output.ToString());
            Assert.Equal(6, weighted.RootElement.GetProperty("accesses").GetInt64());

            File.WriteAllText(path, "");
            InvalidDataException empty = Assert.Throws<InvalidDataException>(
                () => TraceReplay.Run(new ReplayOptions(path, 50), output));
            Assert.Contains(path, empty.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
