// SPDX-License-Identifier: Apache-2.0
using System.Reflection;

namespace VirtTier.Agent;

/// <summary>The version that the build gave this program.</summary>
internal static class AgentVersion
{
    /// <summary>Such as <c>0.1.0</c>, without the source revision.</summary>
    public static string Text { get; } =
        typeof(AgentVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion
            .Split('+')[0];
}
