// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt;

/// <summary>Every line that this library logs. Event ids are stable: 1000 the bus, 1100 libvirt, 1200 domains.</summary>
internal static partial class Log
{
    [LoggerMessage(1000, LogLevel.Information, "Connected to the bus at {Address}")]
    internal static partial void BusConnected(ILogger logger, string address);

    [LoggerMessage(1001, LogLevel.Warning, "Waiting for the bus: {Reason}")]
    internal static partial void BusLost(ILogger logger, string reason);

    [LoggerMessage(1002, LogLevel.Error, "The handler of {Member} failed")]
    internal static partial void BusHandlerFailed(ILogger logger, Exception exception, string member);

    [LoggerMessage(1003, LogLevel.Error, "The bus refuses the name {Name}: {Reason}")]
    internal static partial void BusNameRefused(ILogger logger, string name, string reason);

    [LoggerMessage(1004, LogLevel.Error, "Setting up the bus connection: {Reason}")]
    internal static partial void BusDeclarationFailed(ILogger logger, string reason);

    [LoggerMessage(1100, LogLevel.Information, "libvirt answers")]
    internal static partial void LibvirtAnswers(ILogger logger);

    [LoggerMessage(1101, LogLevel.Warning, "{Reason}: waiting")]
    internal static partial void WaitingForLibvirt(ILogger logger, string reason);

    [LoggerMessage(1102, LogLevel.Error, "A look at the domains failed; the next one follows")]
    internal static partial void LookFailed(ILogger logger, Exception exception);

    [LoggerMessage(1103, LogLevel.Information, "libvirt's domains are learned of by {Source}")]
    internal static partial void SourceChosen(ILogger logger, string source);

    [LoggerMessage(1104, LogLevel.Information, "{Source}: its domains are looked for")]
    internal static partial void SourceAnswers(ILogger logger, string source);

    [LoggerMessage(1105, LogLevel.Warning, "{Source}: {Reason}")]
    internal static partial void SourceFails(ILogger logger, string source, string reason);

    [LoggerMessage(1106, LogLevel.Warning, "{Path} cannot be used: {Reason}; VMs keep the settings of their annotations "
        + "that were last known")]
    internal static partial void AnnotationsUnreadable(ILogger logger, string path, string reason);

    [LoggerMessage(1200, LogLevel.Information, "Domain {Domain} ({Uuid}) runs")]
    internal static partial void DomainAppeared(ILogger logger, DomainKey domain, Guid uuid);

    [LoggerMessage(1201, LogLevel.Information, "Domain {Domain} ({Uuid}) is gone")]
    internal static partial void DomainGone(ILogger logger, DomainKey domain, Guid uuid);

    [LoggerMessage(1202, LogLevel.Debug, "The domain at {Path} cannot be read now: {Reason}")]
    internal static partial void DomainUnreadable(ILogger logger, string path, string reason);

    [LoggerMessage(1205, LogLevel.Warning, "The domain at {Path} cannot be read and is left as it was last known: {Reason}")]
    internal static partial void DomainStaysUnreadable(ILogger logger, string path, string reason);

    [LoggerMessage(1207, LogLevel.Warning, "Domain {Domain} is left out: {Reason}")]
    internal static partial void DomainLeftOut(ILogger logger, DomainKey domain, string reason);

    [LoggerMessage(1203, LogLevel.Warning, "Domain {Name}: bad tiering settings, {Attribute}: {Problem}; the last good hold")]
    internal static partial void BadSettings(ILogger logger, string name, string attribute, string problem);

    [LoggerMessage(1206, LogLevel.Warning, "Domain {Name}: the settings of its flavor do not count: {Problem}")]
    internal static partial void BadFlavor(ILogger logger, string name, string problem);

    [LoggerMessage(1204, LogLevel.Warning, "Domain {Name}: libvirt runs a job for an operation {Operation}, "
        + "which is not known here and may copy memory: tiering pauses until it has ended")]
    internal static partial void UnknownJob(ILogger logger, string name, string operation);
}
