// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent;

/// <summary>What the agent logs: what happened to which VM, once. Event ids never change their meaning.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(1, LogLevel.Information,
        "virttier {Version} started: fast memory on node {Fast}, slow on node {Slow}, pool {Pool}")]
    public static partial void Started(this ILogger log, string version, string fast, string slow, string pool);

    [LoggerMessage(2, LogLevel.Information, "stopped: {Samplers} samplers detached, every guest goes on where its pages are")]
    public static partial void Stopped(this ILogger log, int samplers);

    [LoggerMessage(3, LogLevel.Warning, "{Problem}")]
    public static partial void HostProblem(this ILogger log, string problem);

    [LoggerMessage(4, LogLevel.Information, "configuration read again")]
    public static partial void Reloaded(this ILogger log);

    [LoggerMessage(5, LogLevel.Error, "{Problem}; the old configuration stays in force")]
    public static partial void ReloadFailed(this ILogger log, string problem);

    [LoggerMessage(6, LogLevel.Warning, "the XML that libvirt's hook left in {File} cannot be read: {Problem}")]
    public static partial void HookUnreadable(this ILogger log, string file, string problem);

    [LoggerMessage(7, LogLevel.Warning, "{Domain}: start refused: {Reason}")]
    public static partial void StartRefused(this ILogger log, DomainKey domain, string reason);

    [LoggerMessage(8, LogLevel.Warning, "{File}: {Problem}")]
    public static partial void StateFileProblem(this ILogger log, string file, string problem);

    [LoggerMessage(9, LogLevel.Information, "the host's memory has changed: {Tiers}")]
    public static partial void HostChanged(this ILogger log, string tiers);

    [LoggerMessage(10, LogLevel.Information, "{Domain}: attached to process {Pid}, {Memory} of guest memory")]
    public static partial void Attached(this ILogger log, DomainKey domain, int pid, string memory);

    [LoggerMessage(11, LogLevel.Information, "{Domain}: detached")]
    public static partial void Detached(this ILogger log, DomainKey domain);

    [LoggerMessage(20, LogLevel.Error,
        "{Domain}: a call to the kernel about process {Pid} does not come back; its sampler is let go when it does")]
    public static partial void DetachStuck(this ILogger log, DomainKey domain, int pid);

    [LoggerMessage(12, LogLevel.Warning, "{Domain}: {Reason}")]
    public static partial void Waiting(this ILogger log, DomainKey domain, string reason);

    [LoggerMessage(13, LogLevel.Information, "{Domain}: budget {Budget}, mode {Mode}")]
    public static partial void BudgetSet(this ILogger log, DomainKey domain, string budget, string mode);

    [LoggerMessage(14, LogLevel.Information, "{Domain}: {State}")]
    public static partial void StateChanged(this ILogger log, DomainKey domain, Status.TieringState state);

    [LoggerMessage(16, LogLevel.Information, "{Domain}: the guest's memory layout changed, reading it anew")]
    public static partial void LayoutChanged(this ILogger log, DomainKey domain);

    [LoggerMessage(15, LogLevel.Information, "{Domain}: goes on with the heat of {Rounds} rounds")]
    public static partial void HeatRestored(this ILogger log, DomainKey domain, long rounds);

    [LoggerMessage(19, LogLevel.Warning, "{Domain}: heat is learned anew; {File} cannot be used: {Reason}")]
    public static partial void HeatRefused(this ILogger log, DomainKey domain, string file, string reason);

    [LoggerMessage(24, LogLevel.Information, "{Domain}: begins with the heat that came with it")]
    public static partial void HeatTaken(this ILogger log, DomainKey domain);

    [LoggerMessage(25, LogLevel.Warning, "{Domain}: heat is learned anew; what came with it cannot be used: {Reason}")]
    public static partial void HeatNotTaken(this ILogger log, DomainKey domain, string reason);

    [LoggerMessage(26, LogLevel.Information, "{Domain}: its heat would not go along if it migrated now: {Reason}")]
    public static partial void HeatNotCarried(this ILogger log, DomainKey domain, string reason);

    [LoggerMessage(17, LogLevel.Debug,
        "{Domain}: round {Round}: {Fast} fast, {Slow} slow, {Hot} hot; promoted {Promoted}, demoted {Demoted} pages")]
    public static partial void Round(
        this ILogger log, DomainKey domain, long round, string fast, string slow, string hot, long promoted, long demoted);

    [LoggerMessage(20, LogLevel.Error,
        "{Loop}: nothing has happened there for {Limit} s; systemd restarts the agent unless it goes on")]
    public static partial void LoopHangs(this ILogger log, string loop, double limit);

    [LoggerMessage(21, LogLevel.Warning, "{Loop}: goes on")]
    public static partial void LoopGoesOn(this ILogger log, string loop);

    [LoggerMessage(22, LogLevel.Warning, "{File} is empty: every key has its default")]
    public static partial void ConfigEmpty(this ILogger log, string file);

    [LoggerMessage(23, LogLevel.Information, "{Note}")]
    public static partial void OneTier(this ILogger log, string note);

    [LoggerMessage(18, LogLevel.Error, "{Domain}: unexpected failure, trying again")]
    public static partial void Failed(this ILogger log, Exception exception, DomainKey domain);
}
