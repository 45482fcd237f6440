// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Testbed;

/// <summary>
/// A Linux guest: Debian's kernel, busybox, and the program <c>workset</c> (testbed/guests/workset.c), which writes an area once
/// and then touches only a scattered hot part of it. <see cref="LinuxGuestLog"/> tells which guest frames that part is.
/// </summary>
public sealed class LinuxGuest
{
    /// <summary>The kernel in the emulated host: Debian's own, taken out of its compressed image.</summary>
    public const string KernelPath = "/boot/vmlinux";

    /// <summary>The initial file system in the emulated host.</summary>
    public const string InitrdPath = GuestDomain.Folder + "/linux-guest.cpio";

    /// <summary>The domain's name.</summary>
    public required string Name { get; init; }

    /// <summary>Guest memory in MiB: the kernel needs about 96 of its own while it boots.</summary>
    public int MemoryMebibytes { get; init; } = 192;

    /// <summary>MiB that the program writes once.</summary>
    public int AreaMebibytes { get; init; } = 96;

    /// <summary>MiB that stay hot.</summary>
    public int HotMebibytes { get; init; } = 12;

    /// <summary>Sleep from one pass over the hot pages to the next.</summary>
    public TimeSpan PassPause { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>What the guest's RAM is backed by.</summary>
    public GuestMemory Memory { get; init; } = GuestMemory.Anonymous;

    /// <summary>Where the guest's console goes in the host.</summary>
    public string LogPath => $"{GuestDomain.Folder}/{Name}.log";

    // Emulated time is dear: nothing is calibrated, probed or tested that this guest does not need.
    // noxsave: QEMU's emulated CPU offers nested guests a set of XSAVE states that the kernel finds inconsistent.
    internal string KernelParameters => string.Create(CultureInfo.InvariantCulture,
        $"console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check lpj=4000000 noxsave " +
        $"cryptomgr.notests audit=0 lsm= transparent_hugepage=never " +
        $"workset={AreaMebibytes},{HotMebibytes},{(int)PassPause.TotalMilliseconds}");

    /// <summary>The libvirt domain, ready for <c>virsh define</c>.</summary>
    /// <param name="tiering">Attributes of its <c>tiering</c> metadata, for example <c>dram="64MiB"</c>; null for none.</param>
    /// <exception cref="ArgumentException">The sizes do not fit each other.</exception>
    public string DomainXml(string? tiering = null)
    {
        if (HotMebibytes < 1 || HotMebibytes > AreaMebibytes || AreaMebibytes + 64 > MemoryMebibytes)
        {
            throw new ArgumentException($"linux guest: hot {HotMebibytes}, area {AreaMebibytes}, memory {MemoryMebibytes} MiB; " +
                "right would be 1 <= hot <= area <= memory - 64");
        }
        return GuestDomain.Linux(this, tiering);
    }
}
