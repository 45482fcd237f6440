// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Pagemap;

/// <summary>
/// Whether a block of a guest is one 2 MiB page to the host's kernel, which then moves all of it when it is asked to move any
/// part. KVM does not tell: it maps such a page by small entries where the guest has no memory behind a part of it, where the
/// guest may not execute large ones (nx_huge_pages), and for a while after its writes were logged.
/// </summary>
public enum HugePage : byte
{
    /// <summary>No, as far as is known.</summary>
    None,

    /// <summary>Yes.</summary>
    Whole,

    /// <summary>Parts of one are there; others were given back (a balloon) or replaced. KVM can only map it by small entries,
    /// and the kernel keeps the memory of what was given back until the page is split.</summary>
    Torn,
}
