// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VirtTier.Memory.Sampling;

/// <summary>
/// Mirror of <c>kernel-module/include/uapi/kvm_ept_sample.h</c>; a test compiles the header and compares. Names are those
/// of the header.
/// </summary>
internal static class KvmEptSampleAbi
{
    public const string Path = "/proc/kvm_ept_sample";
    public const uint Version = 1;

    public const uint CmdInit = 1200;
    public const uint CmdSetProt = 1201;
    public const uint CmdSetFreq = 1202;
    public const uint CmdGetMemslots = 1203;
    public const uint CmdDeinit = 1204;

    public static readonly uint CmdGetInfo = ReadWrite<KvmEptSampleInfo>(1);
    public static readonly uint CmdHarvest = ReadWrite<KvmEptSampleHarvest>(2);

    /// <summary><c>_IO(0xB7, 3)</c>.</summary>
    public const uint CmdSetRecord = (0xB7u << 8) | 3;

    /// <summary><c>_IOWR(0xB7, number, T)</c> of asm-generic/ioctl.h.</summary>
    private static uint ReadWrite<T>(uint number)
        where T : unmanaged => (3u << 30) | ((uint)Unsafe.SizeOf<T>() << 16) | (0xB7u << 8) | number;
}

[StructLayout(LayoutKind.Sequential)]
internal struct KvmEptSampleMemslot
{
    public ulong Gpa;
    public ulong Hva;
    public nuint PageCount;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct KvmEptSampleGetMemslots
{
    public KvmEptSampleMemslot* Memslots;
    public nuint Capacity;
    public nuint Count;
}

[StructLayout(LayoutKind.Sequential)]
internal struct KvmEptSampleInfo
{
    public uint Size;
    public uint AbiVersion;
    public uint Flags;
    public uint Paging;
    public uint RootLevel;
    public uint PageSizes;
    public uint Vcpus;
    public uint Memslots;
    public ulong GfnEnd;
    public ulong Generation;
    public ulong Harvests;
    public ulong HarvestNs;
    public ulong Entries;
    public ulong Flushes;
    public ulong Samples;
    public ulong Dropped;
    public ulong Armed;
    public ulong Faults;
    public ulong Interrupts;
    public ulong Spared;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct KvmEptSampleHarvest
{
    public uint Size;
    public uint Flags;
    public ulong Start;
    public ulong End;
    public ulong Base;
    public ulong Accessed;
    public ulong Dirty;
    public ulong Present;
    public ulong Sizes;
    public ulong Next;
    public ulong PagesPresent;
    public ulong PagesAccessed;
    public ulong PagesDirty;
    public ulong Generation;
    public uint State;
    public uint Reserved;
}
