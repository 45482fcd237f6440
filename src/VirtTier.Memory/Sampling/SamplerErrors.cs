// SPDX-License-Identifier: Apache-2.0
using VirtTier.Linux;

namespace VirtTier.Memory.Sampling;

/// <summary>Puts the kernel module's error numbers into words.</summary>
internal static class SamplerErrors
{
    public static GuestMemoryException Opening(string path, int errno) => errno switch
    {
        Errno.ENOENT => new(
            GuestMemoryError.ModuleAbsent,
            $"{path} does not exist: the kernel module is not loaded (mend it with: modprobe kvm_ept_sample)"),
        Errno.EACCES or Errno.EPERM => new(
            GuestMemoryError.NoPermission,
            $"no right to open {path}: it is root's; the agent needs CAP_DAC_READ_SEARCH (its systemd unit has it)"),
        _ => new(GuestMemoryError.Failed, $"cannot open {path} ({Errno.Describe(errno)})"),
    };

    public static GuestMemoryException OtherAbi(string path, string found) => new(
        GuestMemoryError.ModuleIncompatible,
        $"{path} speaks {found}, but this agent needs ABI version {KvmEptSampleAbi.Version}: install the module that belongs "
        + "to this version of the agent (then: rmmod kvm_ept_sample && modprobe kvm_ept_sample)");

    public static GuestMemoryException Attaching(int pid, int errno) => errno switch
    {
        Errno.ESRCH => Gone(pid),
        Errno.EPERM or Errno.EACCES => new(
            GuestMemoryError.NoPermission,
            $"no right to sample process {pid}: the agent needs the right to ptrace it (CAP_SYS_PTRACE)"),
        Errno.EBUSY => new(
            GuestMemoryError.AlreadySampled,
            $"the guest of process {pid} is being sampled by another process: only one at a time can"),
        Errno.ENXIO => new(
            GuestMemoryError.NotAGuest,
            $"process {pid} runs no KVM guest: either it is no virtual machine monitor, "
                + "or it uses emulation (TCG), or it is still starting"),
        Errno.EOPNOTSUPP => new(
            GuestMemoryError.Unsupported,
            $"the guest of process {pid} cannot be sampled: KVM runs it without second-level page tables (EPT or NPT)"),
        _ => new(GuestMemoryError.Failed, $"cannot attach to the guest of process {pid} ({Errno.Describe(errno)})"),
    };

    public static GuestMemoryException Using(int pid, string action, int errno) => errno switch
    {
        Errno.ESRCH => Gone(pid),
        Errno.EOPNOTSUPP => new(
            GuestMemoryError.Unsupported, $"cannot {action} for process {pid}: this kernel or processor does not support it"),
        Errno.EPERM or Errno.EACCES => new(GuestMemoryError.NoPermission, $"no right to {action} for process {pid}"),
        _ => new(GuestMemoryError.Failed, $"cannot {action} for process {pid} ({Errno.Describe(errno)})"),
    };

    private static GuestMemoryException Gone(int pid) => new(GuestMemoryError.ProcessGone, $"process {pid} has ended");
}
