// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Tests.Host;

/// <summary>Runs the tests with daemons one after another, with the machine to themselves: they measure time.</summary>
[CollectionDefinition(HostRing.Name, DisableParallelization = true)]
public sealed class AgentHostRing;
