// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Memory.Layout;

/// <summary>One KVM memslot: a run of guest physical memory and where it lies in the virtual machine
/// monitor's address space.</summary>
/// <param name="Gpa">Guest physical address of its first byte.</param>
/// <param name="Hva">Address of the same byte in the process that runs the guest.</param>
/// <param name="PageCount">Length in 4 KiB pages.</param>
public readonly record struct Memslot(ulong Gpa, ulong Hva, ulong PageCount)
{
    /// <summary>Guest frame number of its first page.</summary>
    public ulong FirstGfn => Gpa / PageSizes.PageBytes;

    /// <summary>One past the guest frame number of its last page.</summary>
    public ulong EndGfn => FirstGfn + PageCount;
}
