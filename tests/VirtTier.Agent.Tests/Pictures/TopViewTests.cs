// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Commands;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Metrics;

namespace VirtTier.Agent.Tests.Pictures;

/// <summary>The keys of <c>virttier top</c>.</summary>
public sealed class TopViewTests
{
    private readonly TopView _view = new();

    public TopViewTests()
    {
        AgentStatus status = SampleStatus.Of("web1", "db1", "web2");
        _view.Status = status with
        {
            Domains =
            [
                status.Domains[0] with { HotBytes = 1, HotFastBytes = 1 },
                status.Domains[1] with { HotBytes = 9, HotFastBytes = 3 },
                status.Domains[2] with { HotBytes = 5, HotFastBytes = 5, MemoryBytes = 1L << 40 },
            ],
        };
    }

    [Fact]
    public void The_columns_take_turns_in_sorting()
    {
        Assert.Equal("db1 web1 web2", Names());
        Press("ss");
        Assert.Equal(("web2 db1 web1", "by memory"), (Names(), _view.Line()[..9]));
        Press("ssss");
        Assert.Equal(("db1 web2 web1", "by hot fo"), (Names(), _view.Line()[..9]));
        Press("s"); // the least first: that is who lacks DRAM
        Assert.Equal("db1 web1 web2", Names());
        Press("ss");
        Assert.StartsWith("by name", _view.Line(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_filter_holds_while_it_is_typed_and_after_Enter_and_Esc_drops_it()
    {
        Press("/WEBq");
        Assert.Equal("", Names());
        Press(ConsoleKey.Backspace);
        Assert.Equal("web1 web2", Names());
        Assert.Contains("filter: WEB_", _view.Line(), StringComparison.Ordinal);
        Press(ConsoleKey.Enter);
        Assert.Equal("web1 web2", Names());
        Assert.Null(_view.DetailOf);
        Press("/");
        Press(ConsoleKey.Escape);
        Assert.Equal("db1 web1 web2", Names());
        Assert.False(_view.IsEnded); // that q was part of a name
    }

    [Fact]
    public void Enter_shows_the_selected_VM_which_stays_selected_whatever_the_order()
    {
        Press(ConsoleKey.DownArrow);
        Press("ss");
        Press(ConsoleKey.Enter);
        Assert.Equal(_view.Status!.Domains[0].Key, _view.DetailOf); // web1
        Press(ConsoleKey.Escape);
        Assert.Null(_view.DetailOf);
        Press("kkkkk");
        Press(ConsoleKey.Enter);
        Assert.Equal(_view.Status.Domains[2].Key, _view.DetailOf);
        _view.Status = _view.Status with { Domains = [] };
        Assert.Null(_view.DetailOf);
    }

    [Fact]
    public void It_is_paused_slowed_and_ended_by_keys()
    {
        Press("p");
        Assert.True(_view.IsPaused);
        Assert.Contains("paused", _view.Line(), StringComparison.Ordinal);
        Press(" ");
        Assert.False(_view.IsPaused);
        double[] delays = new double[5];
        for (int i = 0; i < delays.Length; i++)
        {
            Press("d");
            delays[i] = _view.Delay.TotalSeconds;
        }
        Assert.Equal([2, 5, 10, 0.5, 1], delays);
        Press("x");
        Assert.False(_view.IsEnded);
        Press("q");
        Assert.True(_view.IsEnded);
    }

    [Theory]
    [InlineData("--delay", "0", "--delay")]
    [InlineData("--delay", "NaN", "--delay")]
    [InlineData("--count", "-1", "--count")]
    public void What_cannot_be_used_is_refused(string option, string value, string named)
    {
        string message = Assert.Single(TopCommand.Create().Parse([option, value]).Errors).Message;
        Assert.StartsWith($"{named} '{value}': must be", message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_can_be_used_is_not()
    {
        Assert.Empty(TopCommand.Create().Parse([]).Errors);
        Assert.Empty(TopCommand.Create().Parse(["-b", "-n", "2", "-d", "0.5"]).Errors);
    }

    [Fact]
    public void The_documentation_has_the_keys() => Usage.Shows("virttier top    # then h", TopView.Help);

    private string Names() => string.Join(' ', _view.Shown.Select(d => d.Name));

    private void Press(string keys)
    {
        foreach (char key in keys)
            _view.Press(new ConsoleKeyInfo(key, default, shift: false, alt: false, control: false));
    }

    private void Press(ConsoleKey key) => _view.Press(new ConsoleKeyInfo('\0', key, shift: false, alt: false, control: false));
}
