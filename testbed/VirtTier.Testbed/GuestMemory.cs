// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Testbed;

/// <summary>What libvirt makes a guest's RAM of.</summary>
public enum GuestMemory
{
    /// <summary>Private anonymous memory: libvirt's default.</summary>
    Anonymous,

    /// <summary>A memfd mapped shared, as vhost-user needs it.</summary>
    SharedMemfd,
}
