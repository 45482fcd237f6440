// SPDX-License-Identifier: Apache-2.0
using VirtTier.Demo;

namespace VirtTier.EndToEnd.Tests;

/// <summary>The checks of <c>make demo-sockets</c>, one test each; it runs once for all of them.</summary>
[Trait("Ring", "emulated")]
[Collection("one host at a time")]
public sealed class SocketsDemoTests(SocketsDemoTests.Run demo) : IClassFixture<SocketsDemoTests.Run>
{
    public static TheoryData<string> CheckNames => [.. DemoKind.Sockets.CheckNames];

    [Theory]
    [MemberData(nameof(CheckNames))]
    public void Two_sockets(string name) => demo.Require(name);

    public sealed class Run() : DemoRun(DemoKind.Sockets);
}
