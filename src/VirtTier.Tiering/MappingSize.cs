// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering;

/// <summary>How 2 MiB of guest memory are mapped: one byte for each 512 pages, the values of the kernel module's ABI.</summary>
public static class MappingSize
{
    /// <summary>Nothing present in the table, so nothing is known: the last known size stays in force.</summary>
    public const byte None = 0;

    /// <summary>4 KiB mappings.</summary>
    public const byte Page4K = 1;

    /// <summary>One 2 MiB mapping: one accessed bit, moved whole or not at all.</summary>
    public const byte Page2M = 2;

    /// <summary>Part of a 1 GiB mapping: counted, never moved.</summary>
    public const byte Page1G = 3;
}
