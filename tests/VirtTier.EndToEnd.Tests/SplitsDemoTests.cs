// SPDX-License-Identifier: Apache-2.0
using VirtTier.Demo;

namespace VirtTier.EndToEnd.Tests;

/// <summary>The checks of <c>make demo-splits</c>, one test each; it runs once for all of them.</summary>
[Trait("Ring", "emulated")]
[Trait("Speed", "long")]
[Collection("one host at a time")]
public sealed class SplitsDemoTests(SplitsDemoTests.Run demo) : IClassFixture<SplitsDemoTests.Run>
{
    public static TheoryData<string> CheckNames => [.. DemoKind.Splits.CheckNames];

    [Theory]
    [MemberData(nameof(CheckNames))]
    public void Huge_pages_split_and_joined(string name) => demo.Require(name);

    public sealed class Run() : DemoRun(DemoKind.Splits);
}
