// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Memory;
using VirtTier.Memory.Sampling;

namespace VirtTier.Agent.Tests;

/// <summary>Whatever keeps a domain from being tiered is said in one line that ends with what to do.</summary>
public sealed class ReasonsTests
{
    [Theory]
    [InlineData(GuestMemoryError.NoPermission, "systemctl restart virttier")]
    [InlineData(GuestMemoryError.AlreadySampled, "fuser -v /proc/kvm_ept_sample")]
    [InlineData(GuestMemoryError.NotAGuest, "<domain type='kvm'>")]
    [InlineData(GuestMemoryError.Unsupported, "virttier doctor")]
    [InlineData(GuestMemoryError.Failed, "virttier doctor")]
    public void A_failure_of_the_kernels_side_says_what_to_do(GuestMemoryError kind, string remedy)
    {
        string reason = Reasons.Failure(new GuestMemoryException(kind, "it failed"));

        Assert.StartsWith("it failed; ", reason, StringComparison.Ordinal);
        Assert.Contains(remedy, reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/nonexistent/module", "modprobe kvm_ept_sample")]
    [InlineData("/dev/null", "rmmod kvm_ept_sample && modprobe kvm_ept_sample")]
    public void A_module_that_is_absent_or_of_another_abi_comes_with_its_command(string path, string remedy)
    {
        GuestMemoryException e = Assert.Throws<GuestMemoryException>(
            () => new KvmSamplerFactory(path).Attach(Environment.ProcessId));

        Assert.Contains(remedy, Reasons.Failure(e), StringComparison.Ordinal);
    }

    [Fact]
    public void What_nobody_thought_of_asks_for_a_report() =>
        Assert.Contains("journalctl -u virttier", Reasons.Failure(new InvalidOperationException("odd")),
            StringComparison.Ordinal);

    [Theory]
    [InlineData(DomainState.Paused, "virsh domstate --reason web1")]
    [InlineData(DomainState.Asleep, "nothing to do")]
    [InlineData(DomainState.Crashed, "virsh domstate --reason web1")]
    [InlineData(DomainState.ShuttingDown, "nothing to do")]
    [InlineData(DomainState.Running, "is being copied")]
    public void A_pause_says_what_to_look_at(DomainState state, string remedy) =>
        Assert.Contains(remedy, Reasons.Paused(Domains.Running() with { State = state }), StringComparison.Ordinal);

    [Fact]
    public void What_is_not_libvirts_gets_no_command_of_libvirts()
    {
        RunningDomain pod = Domains.Running() with { Source = "kubevirt", Id = "UID/prod_web1", State = DomainState.Paused };
        foreach (string reason in (string[])[Reasons.Off(pod), Reasons.Paused(pod), Reasons.RunsUnseenGuests(pod),
            Reasons.IsConfidential(pod)])
        {
            Assert.DoesNotContain("virsh", reason, StringComparison.Ordinal);
            Assert.DoesNotContain("virttier set", reason, StringComparison.Ordinal);
        }
        Assert.Contains("virttier explain -- kubevirt:UID/prod_web1", Reasons.IsConfidential(pod), StringComparison.Ordinal);
    }

    [Fact]
    public void A_suspended_guest_that_migrates_waits_for_the_migration() => Assert.Contains(
        "being copied", Reasons.Paused(Domains.Running() with { State = DomainState.Paused, MigratingOut = true }),
        StringComparison.Ordinal);

    [Theory]
    [InlineData(TieringState.Attaching, "the module is absent", true)]
    [InlineData(TieringState.Attaching, Reasons.Attaching, false)]
    [InlineData(TieringState.Tiering, "node 1 is full", true)]
    [InlineData(TieringState.Tiering, null, false)]
    [InlineData(TieringState.Observing, "runs guests", true)]
    [InlineData(TieringState.Paused, "suspended", false)]
    [InlineData(TieringState.Off, "off", false)]
    internal void Only_what_nobody_wished_for_needs_a_person(TieringState state, string? reason, bool needed)
    {
        DomainStatus status = Domains.Running().Orders(1).Status(DomainFigures.None) with { State = state, Reason = reason };

        Assert.Equal(needed, status.NeedsAttention);
        Assert.True((status with { Problems = [new SettingProblemStatus("dram", "2", "no unit")] }).NeedsAttention);
    }
}
