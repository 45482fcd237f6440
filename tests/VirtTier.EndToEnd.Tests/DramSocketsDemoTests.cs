// SPDX-License-Identifier: Apache-2.0
using VirtTier.Demo;

namespace VirtTier.EndToEnd.Tests;

/// <summary>The checks of <c>make demo-sockets-dram</c>, one test each; it runs once for all of them.</summary>
[Trait("Ring", "emulated")]
[Collection("one host at a time")]
public sealed class DramSocketsDemoTests(DramSocketsDemoTests.Run demo) : IClassFixture<DramSocketsDemoTests.Run>
{
    public static TheoryData<string> CheckNames => [.. DemoKind.DramSockets.CheckNames];

    [Theory]
    [MemberData(nameof(CheckNames))]
    public void Two_sockets_without_a_slow_tier(string name) => demo.Require(name);

    public sealed class Run() : DemoRun(DemoKind.DramSockets);
}
