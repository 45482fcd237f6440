// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Demo;

/// <summary>What can be shown, each on a host of its kind.</summary>
/// <param name="Name">What <c>make demo-NAME</c> calls it; empty for the main job.</param>
/// <param name="Machine">The emulated machine, as <c>testbed/testbed</c> names it.</param>
/// <param name="CheckNames">The names of all its checks, in their order.</param>
/// <param name="Scenario">Makes the scenario for one attempt.</param>
internal sealed record DemoKind(
    string Name, string Machine, IReadOnlyList<string> CheckNames, Func<DemoHost, IDemoView, HostScenario> Scenario)
{
    /// <summary>The main job.</summary>
    public static DemoKind Main { get; } =
        new("", "one-socket", Demo.Scenario.CheckNames, (host, view) => new Scenario(host, view));

    /// <summary>Two sockets with a slow node behind each.</summary>
    public static DemoKind Sockets { get; } =
        new("sockets", "two-sockets", SocketsScenario.CheckNames, (host, view) => new SocketsScenario(host, view));

    /// <summary>Two sockets without a slow tier.</summary>
    public static DemoKind DramSockets { get; } = new(
        "sockets-dram", "two-sockets-dram", DramSocketsScenario.CheckNames, (host, view) => new DramSocketsScenario(host, view));

    /// <summary>Three tiers.</summary>
    public static DemoKind Tiers { get; } =
        new("tiers", "three-tiers", TiersScenario.CheckNames, (host, view) => new TiersScenario(host, view));

    /// <summary>2 MiB pages that are split and joined.</summary>
    public static DemoKind Splits { get; } =
        new("splits", "one-socket", SplitsScenario.CheckNames, (host, view) => new SplitsScenario(host, view));

    /// <summary>All of them.</summary>
    public static IReadOnlyList<DemoKind> All { get; } = [Main, Sockets, DramSockets, Tiers, Splits];
}
