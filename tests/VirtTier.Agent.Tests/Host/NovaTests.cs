// SPDX-License-Identifier: Apache-2.0

namespace VirtTier.Agent.Tests.Host;

/// <summary>An instance as Nova runs it: its definition is Nova's, who writes it anew at each hard reboot and power-on, and knows
/// nothing of metadata of others.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class NovaTests : IAsyncLifetime
{
    private const string Name = "instance-00000007";

    private readonly StandInKernel _kernel = new();
    private PrivateHost _host = null!;
    private TieredHost _tiered = null!;

    public async ValueTask InitializeAsync()
    {
        _host = await PrivateHost.StartAsync("compute");
        _tiered = TieredHost.Of(_host, _kernel, TimeSpan.FromMilliseconds(200));
    }

    public async ValueTask DisposeAsync()
    {
        if (_tiered is not null)
            await _tiered.DisposeAsync();
        if (_host is not null)
            await _host.DisposeAsync();
        _kernel.Dispose();
    }

    [Fact]
    public async Task A_flavors_budget_holds_over_a_hard_reboot_which_loses_metadata_that_is_not_novas()
    {
        TestDomain instance = new(Name) { Metadata = Instance("25%") };
        await _host.DefineAsync(instance);
        await _host.VirshAsync("start", Name);
        await UntilAsync("25%", "flavor m1.large");
        int first = _host.ReadPid(Name);

        // Somebody's own metadata comes before the flavor, until Nova writes the definition.
        await _host.SetMetadataAsync(Name, "<tiering dram='50%'/>");
        await _host.SetMetadataAsync(Name, "<tiering dram='50%'/>", "--config");
        await UntilAsync("50%", "metadata");

        await HardRebootAsync(instance);
        await UntilAsync("25%", "flavor m1.large");
        Assert.NotEqual(first, _host.ReadPid(Name));

        // A resize to another flavor ends in the same way.
        await HardRebootAsync(instance with { Metadata = Instance("75%") });
        await UntilAsync("75%", "flavor m1.large");
    }

    private async Task HardRebootAsync(TestDomain instance)
    {
        await _host.VirshAsync("destroy", Name);
        await _host.VirshAsync("undefine", Name);
        await _host.DefineAsync(instance);
        await _host.VirshAsync("start", Name);
        Assert.DoesNotContain("virttier:tiering", await _host.VirshAsync("dumpxml", Name), StringComparison.Ordinal);
    }

    private Task UntilAsync(string dram, string from) => Eventually.IsTrue(
        () => _tiered.Reconciler.Status().Domains is [{ } domain]
            && domain.Settings.Single(setting => setting.Attribute == "dram") is { } setting
            && (setting.Value, setting.From) == (dram, from)
            && domain.BudgetBytes == domain.MemoryBytes * int.Parse(dram.TrimEnd('%'), null) / 100
            && domain.Pid == _host.FindPid(Name) && _kernel.SampledPids is [{ } sampled] && sampled == domain.Pid,
        () => $"{dram} by {from}: {_tiered}");

    private static string Instance(string dram) => $"""
        <nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>
          <nova:name>web</nova:name>
          <nova:flavor name='m1.large' id='7'>
            <nova:extraSpecs><nova:extraSpec name='virttier:dram'>{dram}</nova:extraSpec></nova:extraSpecs>
          </nova:flavor>
        </nova:instance>
        """;
}
