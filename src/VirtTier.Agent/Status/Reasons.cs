// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Memory;
using VirtTier.Primitives;

namespace VirtTier.Agent.Status;

/// <summary>Why a domain is not being tiered: one sentence each, with what to do.</summary>
internal static class Reasons
{
    /// <summary>Between the first sight of its process and the first answer of the kernel module.</summary>
    public const string Attaching = "the sampler is being attached; nothing to do";

    /// <summary>The settings say off.</summary>
    public static string Off(RunningDomain domain) =>
        $"left alone, as its settings say; to tier it: {Set(domain, "enforce")}";

    /// <param name="problem">Why its process is not known; null when it is, and it is about to be attached.</param>
    public static string NoProcess(string? problem) => problem is null
        ? Attaching
        : $"{problem}; it is looked for every few seconds, and if this stays: virttier doctor";

    /// <summary>The guest does not run, or its memory is being copied.</summary>
    /// <remarks>Why it is paused is not known here: by a user, for an I/O error, to be migrated in, as part of a save. So the
    /// command only looks. To resume, wake or end a guest is its owner's to decide.</remarks>
    public static string Paused(RunningDomain domain) => domain switch
    {
        { MigratingOut: true } => BeingCopied,
        { State: DomainState.Paused } => $"the guest is paused; tiering goes on when it runs; why it is paused: {Why(domain)}",
        { State: DomainState.Asleep } => "the guest sleeps; tiering goes on when it wakes; nothing to do",
        { State: DomainState.Crashed } => $"the guest has crashed and is kept for inspection; why it crashed: {Why(domain)}",
        { State: DomainState.ShuttingDown } => "the guest is shutting down; nothing to do",
        _ => BeingCopied,
    };

    private static string Why(RunningDomain domain) => domain.Source == DomainSources.Libvirt
        ? ShellCommand.OnDomain(domain, "virsh", "domstate", "--reason")
        : $"ask {domain.Source}";

    /// <summary>What the guest's own guests touch is not seen, so their memory would look cold.</summary>
    public static string RunsUnseenGuests(RunningDomain domain) =>
        "the guest runs guests of its own (nested virtualization, such as Hyper-V, VBS or WSL2), "
        + "and what those touch is not seen: it is observed, and nothing of it is moved while it does; if that is as you wish: "
        + Set(domain, "observe");

    // Only libvirt keeps settings with the domain.
    private static string Set(RunningDomain domain, string mode) => domain.Source == DomainSources.Libvirt
        ? ShellCommand.OnDomain(domain, "virttier", "set", "--mode", mode)
        : $"a rule in virttier.yaml with mode: {mode}; what holds now: "
            + ShellLine.Of(["virttier", "explain", "--", domain.Key.Full]);

    /// <summary>The kernel keeps the pages of a confidential guest where they are.</summary>
    public static string IsConfidential(RunningDomain domain) =>
        "the guest is confidential (SEV, SNP or the like), and the kernel does not move its pages: it is observed; "
        + $"if that is as you wish: {Set(domain, "observe")}";

    private const string BeingCopied =
        "the guest's memory is being copied (migration, save or dump); tiering goes on when that has ended";

    /// <summary>Attaching, sampling or moving failed; it is tried again.</summary>
    public static string Failure(Exception exception) => exception is GuestMemoryException failure
        ? failure.Message + WhatToDo(failure.Kind)
        : $"unexpected failure ({Shorten.Sentence(exception.Message)}), tried again; "
            + "please report it with: journalctl -u virttier";

    // The messages of the other kinds name the command already.
    private static string WhatToDo(GuestMemoryError kind) => kind switch
    {
        GuestMemoryError.NoPermission => "; start it by its unit, which has the rights: systemctl restart virttier",
        GuestMemoryError.AlreadySampled => "; find and end the other one: fuser -v /proc/kvm_ept_sample",
        GuestMemoryError.NotAGuest =>
            "; only a guest that runs with KVM can be tiered: <domain type='kvm'>, or QEMU's -accel kvm",
        GuestMemoryError.Unsupported or GuestMemoryError.Failed => "; to see what the host lacks: virttier doctor",
        _ => "",
    };
}
