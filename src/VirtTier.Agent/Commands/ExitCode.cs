// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Commands;

/// <summary>Exit codes of <c>virttier</c>, the same for every command.</summary>
internal static class ExitCode
{
    /// <summary>Done, and all is well.</summary>
    public const int Success = 0;

    /// <summary>Something of the host, not of the input, needs a person: a domain waits, a setting is wrong,
    /// sysfs cannot be read.</summary>
    public const int Attention = 1;

    /// <summary>Not done: the configuration or an argument cannot be used.</summary>
    public const int BadInput = 2;

    /// <summary>Not done: the agent does not answer.</summary>
    public const int NoAgent = 3;

    /// <summary>Not done: libvirt does not answer, or refuses.</summary>
    public const int NoLibvirt = 4;
}
