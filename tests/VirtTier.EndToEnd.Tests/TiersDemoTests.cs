// SPDX-License-Identifier: Apache-2.0
using VirtTier.Demo;
using VirtTier.Testbed;

namespace VirtTier.EndToEnd.Tests;

/// <summary>The checks of <c>make demo-tiers</c>, one test each; it runs once for all of them.</summary>
[Trait("Ring", "emulated")]
[Collection("one host at a time")]
public sealed class TiersDemoTests(TiersDemoTests.Run demo) : IClassFixture<TiersDemoTests.Run>
{
    public static TheoryData<string> CheckNames => [.. TiersScenario.CheckNames];

    [Theory]
    [MemberData(nameof(CheckNames))]
    public void Three_tiers(string name) => demo.Require(name);

    /// <summary>One run on a host of its own.</summary>
    public sealed class Run : DemoRun
    {
        public Run()
            : this(new DemoHost(EmulatedHost.Named("end-to-end", TiersScenario.Machine)))
        {
        }

        private Run(DemoHost host)
            : base(host, (view, cancel) => new TiersScenario(host, view).RunAsync(cancel))
        {
        }
    }
}
