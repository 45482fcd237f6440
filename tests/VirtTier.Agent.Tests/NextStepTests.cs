// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Metrics;

namespace VirtTier.Agent.Tests;

/// <summary>What a bare <c>virttier</c> tells to do next.</summary>
public sealed class NextStepTests
{
    private readonly AgentStatus _well = SampleStatus.Of("web1", "web2");

    [Fact]
    public void All_is_well() => Assert.Equal("virttier top", NextStep.Of(_well).Command);

    [Fact]
    public void A_loop_hangs() =>
        Assert.Equal("journalctl -u virttier", NextStep.Of(_well with { Hung = ["watching domains"] }).Command);

    [Fact]
    public void Libvirt_is_away() =>
        Assert.Equal("virttier doctor", NextStep.Of(_well with { Libvirt = new LibvirtStatus(false, "away") }).Command);

    [Fact]
    public void There_is_no_slow_tier()
    {
        AgentStatus oneTier = _well with { Tiers = [_well.Tiers[0]] };
        Assert.Equal("virttier estimate", NextStep.Of(oneTier).Command);
        Assert.Contains("VMs are only watched", NextStep.Of(oneTier).Why, StringComparison.Ordinal);
        Assert.Contains("hot pages only follow their VMs between sockets", NextStep.Of(oneTier with { Rehomes = true }).Why,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_that_cannot_be_used_come_before_VMs_that_wait() => Assert.Equal(
        "virttier get 'my vm'",
        NextStep.Of(Changed(d => d with
        {
            Name = "my vm",
            Reason = "the module is not loaded",
            Problems = [new SettingProblemStatus("dram", "lots", "no size")],
        })).Command);

    [Fact]
    public void A_VM_waits() =>
        Assert.Equal("virttier doctor", NextStep.Of(Changed(d => d with { Reason = "the module is not loaded" })).Command);

    [Fact]
    public void A_source_does_not_answer() => Assert.Equal("virttier doctor",
        NextStep.Of(_well with { Sources = [new SourceStatus("kubevirt", false, "it hangs")] }).Command);

    [Fact]
    public void No_VM_runs_and_there_is_no_libvirt() => Assert.Equal("virttier doctor",
        NextStep.Of(_well with { Libvirt = new LibvirtStatus(true, null) { Source = "off" }, Domains = [] }).Command);

    [Fact]
    public void No_VM_runs() => Assert.Equal("virsh list --all", NextStep.Of(_well with { Domains = [] }).Command);

    [Fact]
    public void All_VMs_are_observed_only()
    {
        Assert.Equal("virttier top", NextStep.Of(Changed(d => d with { Mode = "observe" })).Command);
        AgentStatus observed = _well with { Domains = [.. _well.Domains.Select(d => d with { Mode = "observe" })] };
        Assert.Equal("virttier enable --all", NextStep.Of(observed).Command);
    }

    private AgentStatus Changed(Func<DomainStatus, DomainStatus> change) =>
        _well with { Domains = [change(_well.Domains[0]), _well.Domains[1]] };
}
