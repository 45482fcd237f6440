// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests.Pictures;

public sealed class DomainEventsTests
{
    private static readonly DomainKey s_web1 = new("libvirt", "web1"), s_web2 = new("libvirt", "web2");

    private readonly FakeLog _log = new();

    [Fact]
    public void The_last_lines_of_each_domain_are_kept_with_their_times_and_all_are_logged()
    {
        SamplePictures time = new();
        DomainEvents events = new(_log, time);
        for (int i = 1; i <= 20; i++)
            events.BudgetSet(s_web1, $"{i} GiB", "Enforce");
        time.Now += TimeSpan.FromMinutes(1);
        events.StateChanged(s_web1, TieringState.Paused);
        events.Waiting(s_web2, "the module is not loaded");
        events.Round(s_web2, 1, "", "", "", 0, 0);
        events.HostProblem("of no domain");

        Assert.Equal(24, _log.Lines.Count);
        IReadOnlyList<DomainEvent> web1 = events.Of(s_web1);
        Assert.Equal(12, web1.Count);
        Assert.Equal(("budget 10 GiB, mode Enforce", "Paused"), (web1[0].Text, web1[^1].Text));
        Assert.Equal(TimeSpan.FromMinutes(1), web1[^1].Time - web1[0].Time);
        Assert.Equal(["the module is not loaded"], events.Of(s_web2).Select(e => e.Text)); // rounds are no events

        DomainKey pods = s_web1 with { Source = "kubevirt" };
        Assert.Empty(events.Of(pods));
        events.StateChanged(pods, TieringState.Tiering);
        Assert.Equal(["Tiering"], events.Of(pods).Select(e => e.Text));
        Assert.Equal("Paused", events.Of(s_web1)[^1].Text);
    }
}
