// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Testbed;

/// <summary>What libvirt makes a guest's RAM of.</summary>
public enum GuestMemory
{
    /// <summary>Private anonymous memory: libvirt's default.</summary>
    Anonymous,

    /// <summary>A memfd mapped shared, as vhost-user needs it.</summary>
    SharedMemfd,

    /// <summary>The same, at an address that is a multiple of 2 MiB, so that it can be mapped in 2 MiB pages (the tool
    /// <c>qemu-aligned</c>).</summary>
    AlignedMemfd,
}
