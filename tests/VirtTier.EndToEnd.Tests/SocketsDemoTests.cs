// SPDX-License-Identifier: Apache-2.0
using VirtTier.Demo;
using VirtTier.Testbed;

namespace VirtTier.EndToEnd.Tests;

/// <summary>The checks of <c>make demo-sockets</c>, one test each; it runs once for all of them.</summary>
[Trait("Ring", "emulated")]
[Collection("one host at a time")]
public sealed class SocketsDemoTests(SocketsDemoTests.Run demo) : IClassFixture<SocketsDemoTests.Run>
{
    public static TheoryData<string> CheckNames => [.. SocketsScenario.CheckNames];

    [Theory]
    [MemberData(nameof(CheckNames))]
    public void Two_sockets(string name) => demo.Require(name);

    /// <summary>One run on a host of its own.</summary>
    public sealed class Run : DemoRun
    {
        public Run()
            : this(new DemoHost(EmulatedHost.Named("end-to-end", SocketsScenario.Machine)))
        {
        }

        private Run(DemoHost host)
            : base(host, (view, cancel) => new SocketsScenario(host, view).RunAsync(cancel))
        {
        }
    }
}
