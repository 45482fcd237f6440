// SPDX-License-Identifier: Apache-2.0
using VirtTier.Demo;
using VirtTier.Testbed;

namespace VirtTier.EndToEnd.Tests;

/// <summary>The checks of <c>make demo-sockets-dram</c>, one test each; it runs once for all of them.</summary>
[Trait("Ring", "emulated")]
[Collection("one host at a time")]
public sealed class DramSocketsDemoTests(DramSocketsDemoTests.Run demo) : IClassFixture<DramSocketsDemoTests.Run>
{
    public static TheoryData<string> CheckNames => [.. DramSocketsScenario.CheckNames];

    [Theory]
    [MemberData(nameof(CheckNames))]
    public void Two_sockets_without_a_slow_tier(string name) => demo.Require(name);

    /// <summary>One run on a host of its own.</summary>
    public sealed class Run : DemoRun
    {
        public Run()
            : this(new DemoHost(EmulatedHost.Named("end-to-end", DramSocketsScenario.Machine)))
        {
        }

        private Run(DemoHost host)
            : base(host, (view, cancel) => new DramSocketsScenario(host, view).RunAsync(cancel))
        {
        }
    }
}
