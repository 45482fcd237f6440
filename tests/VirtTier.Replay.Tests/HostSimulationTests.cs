// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using VirtTier.Replay.Simulation;

namespace VirtTier.Replay.Tests;

public sealed class HostSimulationTests
{
    [Fact]
    public void Simulated_host_keeps_its_pool_and_says_what_it_cost()
    {
        StringWriter output = new();
        Assert.Equal(0, HostSimulation.Run(
            new SimulationOptions { Guests = 16, MemoryBytes = 64L << 30, Rounds = 10, Json = true }, output));
        JsonElement result = JsonDocument.Parse(output.ToString()).RootElement;
        Assert.Equal(0, result.GetProperty("budget_exceeded").GetInt32());
        Assert.InRange(result.GetProperty("share").GetDouble(), 0.3, 1);
        Assert.True(result.GetProperty("agent_bytes").GetInt64() < 0.0005 * (64L << 30));
        ArgumentException bad = Assert.Throws<ArgumentException>(
            () => HostSimulation.Run(new SimulationOptions { Guests = 1000, MemoryBytes = 64L << 20 }, output));
        Assert.Equal("--memory 64MiB: must be at least 64MiB a VM, and there are 1000", bad.Message);
    }
}
