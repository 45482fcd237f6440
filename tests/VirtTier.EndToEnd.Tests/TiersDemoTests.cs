// SPDX-License-Identifier: Apache-2.0
using VirtTier.Demo;

namespace VirtTier.EndToEnd.Tests;

/// <summary>The checks of <c>make demo-tiers</c>, one test each; it runs once for all of them.</summary>
[Trait("Ring", "emulated")]
[Collection("one host at a time")]
public sealed class TiersDemoTests(TiersDemoTests.Run demo) : IClassFixture<TiersDemoTests.Run>
{
    public static TheoryData<string> CheckNames => [.. DemoKind.Tiers.CheckNames];

    [Theory]
    [MemberData(nameof(CheckNames))]
    public void Three_tiers(string name) => demo.Require(name);

    public sealed class Run() : DemoRun(DemoKind.Tiers);
}
