// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory;

/// <summary>What the caller can do about a <see cref="GuestMemoryException"/>.</summary>
public enum GuestMemoryError
{
    /// <summary>None of the others; the message has the error number.</summary>
    Failed,

    /// <summary>The kernel module is not loaded: an operator must load it. Retry rarely.</summary>
    ModuleAbsent,

    /// <summary>The loaded kernel module speaks another ABI version: an operator must install the matching one.</summary>
    ModuleIncompatible,

    /// <summary>The agent lacks a right (file mode, capability, ptrace): an operator must grant it.</summary>
    NoPermission,

    /// <summary>The process has ended: nothing to retry.</summary>
    ProcessGone,

    /// <summary>The process runs no KVM guest (yet: QEMU creates it some milliseconds after it starts).
    /// Retry a few times.</summary>
    NotAGuest,

    /// <summary>Another process samples this guest now. Retry later.</summary>
    AlreadySampled,

    /// <summary>This kernel or processor cannot do what was asked: do without.</summary>
    Unsupported,
}

/// <summary>A failure of the kernel's side, in words for the person who reads the log, and a kind for the program.</summary>
public sealed class GuestMemoryException : Exception
{
    /// <summary>Makes the exception.</summary>
    public GuestMemoryException(GuestMemoryError kind, string message)
        : base(message) => Kind = kind;

    /// <summary>What the caller can do about it.</summary>
    public GuestMemoryError Kind { get; }
}
