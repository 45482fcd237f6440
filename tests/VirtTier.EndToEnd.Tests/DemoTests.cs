// SPDX-License-Identifier: Apache-2.0
using VirtTier.Demo;

namespace VirtTier.EndToEnd.Tests;

/// <summary>The checks of <c>make demo</c>, one test each; it runs once for all of them.</summary>
[Trait("Ring", "emulated")]
[Collection("one host at a time")]
public sealed class DemoTests(DemoTests.Run demo) : IClassFixture<DemoTests.Run>
{
    public static TheoryData<string> CheckNames => [.. DemoKind.Main.CheckNames];

    [Theory]
    [MemberData(nameof(CheckNames))]
    public void The_main_job(string name) => demo.Require(name);

    public sealed class Run() : DemoRun(DemoKind.Main);
}
