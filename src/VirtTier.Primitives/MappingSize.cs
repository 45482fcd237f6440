// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Primitives;

/// <summary>How the second-level table maps a block: one byte a block, the values of the kernel module's ABI.</summary>
public enum MappingSize : byte
{
    /// <summary>Nothing is mapped there, so nothing is known: the last known size stays in force.</summary>
    None = 0,

    /// <summary>4 KiB mappings.</summary>
    Size4K = 1,

    /// <summary>One 2 MiB mapping: one accessed bit, moved whole or not at all.</summary>
    Size2M = 2,

    /// <summary>Part of a 1 GiB mapping: counted, never moved.</summary>
    Size1G = 3,
}
