// SPDX-License-Identifier: Apache-2.0
using System.IO.Hashing;
using System.Runtime.InteropServices;
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Layout;

namespace VirtTier.Agent;

/// <summary>Tells whether page indexes mean the same memory, so that heat which was saved is of these pages.</summary>
internal static class MemoryIdentity
{
    /// <summary>A number that changes when page indexes come to mean other memory.</summary>
    public static ulong Of(ProcessIdentity process, GuestLayout layout)
    {
        XxHash3 hash = new();
        hash.Append(MemoryMarshal.AsBytes<ulong>([(ulong)process.Pid, process.StartTime]));
        foreach (GfnRange range in layout.GfnRanges)
            hash.Append(MemoryMarshal.AsBytes<ulong>([range.FirstGfn, (ulong)range.FirstIndex, (ulong)range.PageCount]));
        return hash.GetCurrentHashAsUInt64();
    }
}
