// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Agent.Tests.Metrics;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Splitting;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Tests.Pictures;

/// <summary><c>virttier show</c>: one VM on one screen.</summary>
public sealed class DetailTests
{
    private static readonly DramCurve s_curve = new([(1024, 9.0), (1024, 1.0), (2048, 0.1)], error: 0.012);

    private readonly SamplePictures _pictures = new();
    private readonly DomainStatus _web1 = SampleStatus.Of("web1").Domains[0] with
    {
        Pid = SamplePictures.Process.Pid,
        MemoryBytes = 16 << 20,
        BudgetBytes = 5 << 20,
        FastBytes = 4 << 20,
        SlowBytes = 12 << 20,
        HotBytes = 4 << 20,
        HotFastBytes = 3 << 20,
        Home = [],
        RehomedPages = 0,
        SunkPages = 0,
        RaisedPages = 0,
        PromotedPages = 1024,
        DemotedPages = 3072,
        Unmoved = new Dictionary<string, long> { ["Busy"] = 2, ["Pinned"] = 300 },
    };

    public DetailTests()
    {
        _pictures.Rounds(s_curve, TimeSpan.FromHours(1));
        _pictures.Events.Attached(_web1.Key, 4711, "16 MiB");
        _pictures.Now += TimeSpan.FromSeconds(2);
        _pictures.Record.Moved(0, 1024);
        _pictures.Now += TimeSpan.FromMinutes(7);
        _pictures.Record.Moved(1024, 2048);
        _pictures.Now += TimeSpan.FromMinutes(4);
        _pictures.Events.BudgetSet(_web1.Key, "5 MiB", "Enforce");
    }

    [Fact]
    public void It_reads_as_the_documentation_shows_on_one_screen()
    {
        string[] lines = Lines(_web1, s_curve, 80);
        Usage.Shows("virttier show web1", string.Join('\n', lines));
        Assert.InRange(lines.Length, 20, 31);
        Assert.All(lines, line => Assert.InRange(line.Length, 0, 80));
    }

    [Fact]
    public void A_guest_on_several_sockets_fits_the_screen_too()
    {
        string[] lines = Lines(
            _web1 with { Home = [new NodeShare(0, 1)], HotAwayBytes = 1 << 20, RehomedPages = 7, SunkPages = 9, RaisedPages = 3 },
            s_curve, 80);
        Assert.Contains("home     node 0; 1 MiB of what is hot is on another fast node", lines);
        Assert.Contains("within   28 KiB between fast nodes; between slow tiers up 12 KiB, down 36 KiB", lines);
        Assert.All(lines, line => Assert.InRange(line.Length, 0, 80));
    }

    [Fact]
    public void A_wide_terminal_has_a_wider_curve_with_the_same_budget_in_it()
    {
        string[] lines = Lines(_web1, s_curve, 200);
        int chart = Array.FindIndex(lines, line => line.StartsWith(" 100 %", StringComparison.Ordinal));
        Assert.Equal(7 + (93 * 5 / 16), lines[chart].IndexOf('│', StringComparison.Ordinal));
        Assert.Equal(7 + (93 * 5 / 16), lines[chart + 4].IndexOf("^ budget 5 MiB: 9.3 % slow", StringComparison.Ordinal));
        Assert.All(lines, line => Assert.InRange(line.Length, 0, 100));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(16 << 20)]
    [InlineData(1 << 30)]
    public void A_budget_at_an_end_of_the_curve_or_beyond_it_is_drawn_there(long budget)
    {
        string[] lines = Lines(_web1 with { BudgetBytes = budget }, s_curve, 80);
        Assert.Contains("budget", Assert.Single(lines, line => line.Contains('^', StringComparison.Ordinal)),
            StringComparison.Ordinal);
        Assert.All(lines, line => Assert.InRange(line.Length, 0, 80));
    }

    [Fact]
    public void What_is_not_known_yet_is_said_so()
    {
        string[] lines = Lines(_web1 with { Pid = null, State = TieringState.Attaching, Reason = "no module" }, null, 80);
        Assert.Equal("no module", lines[1]);
        Assert.Contains("curve: too little is known yet", lines);
        Assert.DoesNotContain(lines, line => line.StartsWith("nodes", StringComparison.Ordinal));
    }

    [Fact]
    public void Moves_of_the_last_hour_are_shown_by_the_minute_and_none_take_no_place()
    {
        string[] lines = Lines(_web1, s_curve, 80);
        int head = Array.IndexOf(lines, "moves    minute by minute, the hour to 12:12 UTC; █ is 8 MiB");
        Assert.Equal("  up     " + new string('·', 55) + "▅····", lines[head + 1]);
        Assert.Equal("  down   " + new string('·', 48) + "▅······█····", lines[head + 2]);

        _pictures.Now += TimeSpan.FromHours(2);
        Assert.DoesNotContain(Lines(_web1, s_curve, 80), line => line.StartsWith("moves", StringComparison.Ordinal));
        MovedBytes day = _pictures.Shown.Detail(_web1, s_curve).Moves[2];
        Assert.Equal((600, 4 << 20, 12 << 20), (day.ColumnSeconds, day.UpBytes.Sum(), day.DownBytes.Sum()));
    }

    [Fact]
    public void Each_reason_for_which_pages_do_not_move_has_words()
    {
        foreach (MoveOutcome outcome in Enum.GetValues<MoveOutcome>().Except(
            [MoveOutcome.Moved, MoveOutcome.NotTried, MoveOutcome.ProcessGone]))
            Assert.NotEqual(outcome.ToString(), DetailText.Why(outcome.ToString()));
        Assert.Equal("Unheard", DetailText.Why("Unheard"));
    }

    [Fact]
    public void Splits_and_what_cannot_be_split_are_shown_and_none_take_no_place()
    {
        string[] lines = Lines(
            _web1 with
            {
                Splits = 20, Joins = 5, SplitBlocks = 12, CameBackWhole = 3,
                Unsplit = new Dictionary<string, long> { ["Hugetlb"] = 2, ["Shared"] = 7 },
            }, s_curve, 80);
        int split = Array.IndexOf(lines, "split    12 of its 2 MiB pages; 5 were joined again, 3 by others");
        Assert.Equal("unsplit  7 of its 2 MiB pages: another process maps them too", lines[split + 1]);
        Assert.Equal("unsplit  2 of its 2 MiB pages: hugetlb pages, which cannot be split", lines[split + 2]);
        Assert.DoesNotContain(Lines(_web1, s_curve, 80), line => line.Contains("split", StringComparison.Ordinal));
        foreach (SplitOutcome outcome in Enum.GetValues<SplitOutcome>().Except([SplitOutcome.Done]))
            Assert.NotEqual(outcome.ToString(), DetailText.WhyWhole(outcome.ToString()));
    }

    [Fact]
    public void It_travels_as_JSON()
    {
        DomainDetail detail = _pictures.Shown.Detail(_web1, s_curve);
        Assert.Equal(detail.ToJson(), DomainDetail.FromJson(detail.ToJson()).ToJson());
        Assert.Equal([new NodeBytes(0, 4 << 20), new NodeBytes(2, 12 << 20)], detail.Nodes);
        Assert.Equal(16 << 20, detail.Heat.Sum(h => h.FastBytes + h.SlowBytes));
    }

    private string[] Lines(DomainStatus domain, DramCurve? curve, int width) =>
        [.. DetailText.Render(_pictures.Shown.Detail(domain, curve), width)];
}
