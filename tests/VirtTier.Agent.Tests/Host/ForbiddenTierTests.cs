// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Memory.Processes;

namespace VirtTier.Agent.Tests.Host;

/// <summary>A domain whose numatune keeps it from the slow node: said before a move is tried,
/// with the command that mends it.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class ForbiddenTierTests
{
    [Fact]
    public async Task A_strict_numatune_is_named_with_a_command_that_libvirt_takes()
    {
        await using PrivateHost host = await PrivateHost.StartAsync("numatune");
        using StandInKernel kernel = new() { Forbidden = new ForbiddenNode(1, [0], "echo 0-1 > cpuset.mems") };
        await using TieredHost tiered = TieredHost.Of(host, kernel, TimeSpan.FromMilliseconds(100));
        await host.DefineAsync(new TestDomain("web1")
        {
            MemoryMiB = 16,
            Metadata = TestDomain.MetadataOf("dram='4MiB'"),
            Extra = "<memoryBacking><allocation mode='immediate'/></memoryBacking><numatune>"
                + "<memory mode='strict' nodeset='0'/></numatune>",
        });
        await host.VirshAsync("start", "web1");

        DomainStatus? status = null;
        await Eventually.IsTrue(
            () => (status = tiered.Reconciler.Status().Domains.SingleOrDefault()) is { Rounds: > 2, Reason: not null },
            tiered.ToString);
        const string Mend = "virsh numatune --config --nodeset 0-1 web1";
        Assert.Equal(
            $"its numatune (strict, nodes 0) forbids memory on node 1; to be mended for its next start; mend it with: {Mend}",
            status!.Reason);
        Assert.True(status.NeedsAttention);
        Assert.Equal(0, kernel.WorkOn(host.ReadPid("web1")).Moves);

        await host.VirshAsync(Mend.Split(' ')[1..]);
        Assert.Contains("nodeset='0-1'", await host.VirshAsync("dumpxml", "web1", "--inactive"), StringComparison.Ordinal);
        (kernel.Forbidden, kernel.Bindings) = (null, []); // as after that start
        await Eventually.IsTrue(() => kernel.WorkOn(host.ReadPid("web1")).Moves > 0, tiered.ToString);
    }

    [Fact]
    public async Task A_strict_memnode_is_kept_though_its_cpuset_allows_the_slow_node()
    {
        await using PrivateHost host = await PrivateHost.StartAsync("memnode");
        using StandInKernel kernel = new();
        await using TieredHost tiered = TieredHost.Of(host, kernel, TimeSpan.FromMilliseconds(100));
        await host.DefineAsync(new TestDomain("web1")
        {
            MemoryMiB = 16,
            Metadata = TestDomain.MetadataOf("dram='4MiB'"),
            Extra = "<memoryBacking><allocation mode='immediate'/></memoryBacking><cpu><numa>"
                + "<cell id='0' cpus='0' memory='16' unit='MiB'/></numa></cpu>"
                + "<numatune><memnode cellid='0' mode='strict' nodeset='0'/></numatune>",
        });
        await host.VirshAsync("start", "web1");

        DomainStatus? status = null;
        await Eventually.IsTrue(
            () => (status = tiered.Reconciler.Status().Domains.SingleOrDefault()) is { Rounds: > 5, Reason: not null },
            tiered.ToString);
        Assert.StartsWith("16 MiB of its memory is bound strictly to node 0 and stays there", status!.Reason,
            StringComparison.Ordinal);
        Assert.Equal(0, kernel.WorkOn(host.ReadPid("web1")).Moves);
    }
}
