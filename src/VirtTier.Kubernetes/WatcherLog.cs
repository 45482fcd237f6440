// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;

namespace VirtTier.Kubernetes;

/// <summary>Every line that this program logs.</summary>
internal static partial class WatcherLog
{
    [LoggerMessage(3000, LogLevel.Information, "VMs of this node, as the API server has them: {Count}")]
    internal static partial void Listed(ILogger logger, int count);

    [LoggerMessage(3001, LogLevel.Warning, "{Reason}; the settings that were last known hold")]
    internal static partial void Waiting(ILogger logger, string reason);

    [LoggerMessage(3002, LogLevel.Warning, "A VM without a name, or with annotations that are no text, is left out; nothing more "
        + "is said of such")]
    internal static partial void OddVmi(ILogger logger);

    [LoggerMessage(3003, LogLevel.Warning, "This node has more than {Most} VMs: the others have no settings of their own")]
    internal static partial void ManyVmis(ILogger logger, int most);
}
