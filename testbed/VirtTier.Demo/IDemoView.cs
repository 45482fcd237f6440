// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;

namespace VirtTier.Demo;

/// <summary>Where the demo shows what it does.</summary>
internal interface IDemoView
{
    /// <summary>A new step has begun.</summary>
    void Step(string what);

    /// <summary>Something went wrong that is no check, and must be seen.</summary>
    void Trouble(string what);

    /// <summary>The agent's newest status.</summary>
    void Show(AgentStatus status);

    /// <summary>A check was made.</summary>
    void Show(Check check);
}
