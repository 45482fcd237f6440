// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;

namespace VirtTier.Agent.Tests.Host;

/// <summary>The qemu hook, run by a real libvirtd, with the agent alive, dead and stopped.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class HookOnHostTests(AgentHost agent) : IClassFixture<AgentHost>
{
    private const string HookPath = "/etc/libvirt/hooks/qemu.d/virttier";

    [Fact]
    public async Task The_hook_tells_the_agent_of_each_start_and_stop_and_leaves_nothing_behind()
    {
        await InstallAsync();
        long calls = (await agent.StatusAsync()).Libvirt.HookCalls;

        await agent.Host.CreateAsync(new TestDomain("told"));
        await agent.UntilAsync(status => status.Libvirt.HookCalls == calls + 1); // started
        await agent.Host.VirshAsync("destroy", "told");
        await agent.UntilAsync(status => status.Libvirt.HookCalls == calls + 3); // stopped, release

        await UntilAllToldAsync();
    }

    [Fact]
    public async Task A_start_takes_as_long_with_the_agent_alive_dead_or_stopped_as_without_the_hook()
    {
        const int Rounds = 4;
        await InstallAsync();
        await agent.Host.DefineAsync(new TestDomain("timed") { MemoryMiB = 16 });
        string hook = agent.InHost(HookPath), away = agent.InHost("/etc/libvirt/hooks/away");
        Dictionary<string, List<(double Milliseconds, double Without)>> starts =
            new() { ["alive"] = [], ["stopped"] = [], ["dead"] = [] };
        async Task<double> TimeWithoutHookAsync()
        {
            File.Move(hook, away);
            double without = await TimeStartAsync();
            File.Move(away, hook);
            return without;
        }

        await TimeStartAsync(); // the first one warms libvirtd up

        // Each beside one without the hook, so that what else the machine does falls on both.
        for (int round = 0; round < Rounds; round++)
        {
            double without = await TimeWithoutHookAsync();
            starts["alive"].Add((await TimeStartAsync(), without));
            agent.Agent.Signal(Daemon.SigStop);
            starts["stopped"].Add((await TimeStartAsync(), without));
            agent.Agent.Signal(Daemon.SigCont);
        }
        await agent.Agent.EndAsync(Daemon.SigKill);
        Assert.True(Directory.Exists(agent.InHost("/run/virttier/hook")), "it leaves its files, so that the hook does try");
        for (int round = 0; round < Rounds; round++)
        {
            double without = await TimeWithoutHookAsync();
            starts["dead"].Add((await TimeStartAsync(), without));
        }
        await agent.StartAgentAsync();

        string figures = string.Join("; ", starts.Select(how => $"agent {how.Key}: " + string.Join(", ", how.Value.Select(
            start => string.Create(
                CultureInfo.InvariantCulture,
                $"{start.Milliseconds:0} ms ({start.Without:0} without the hook)")))));
        TestContext.Current.TestOutputHelper?.WriteLine(figures);
        // The best pair of each, as a busy machine only adds. Ten seconds is what the message may take in the background, half a
        // second what admission control may: neither may show.
        Assert.All(starts.Values, pairs => Assert.True(pairs.Min(start => start.Milliseconds / start.Without) < 2, figures));
    }

    [Fact]
    public async Task Admission_control_refuses_a_minimum_that_the_pool_cannot_hold_with_the_numbers()
    {
        await InstallAsync();
        await agent.Host.DefineAsync(new TestDomain("first") { Metadata = TestDomain.MetadataOf("min='48MiB'") });
        await agent.Host.DefineAsync(new TestDomain("second") { Metadata = TestDomain.MetadataOf("min='50MiB'") });
        await agent.Host.DefineAsync(new TestDomain("third") { Metadata = TestDomain.MetadataOf("min='32MiB'") });
        try
        {
            await agent.Host.VirshAsync("start", "first");
            await agent.Host.VirshAsync("start", "second");
            await agent.Host.VirshAsync("start", "third"); // off by default: nobody is refused
            await agent.Host.VirshAsync("destroy", "third");

            await agent.ConfigureAsync("pool: { dram: 128MiB }\nhook: { admission_control: on }\n");
            await agent.ToolOkAsync("reload");
            (int exitCode, string output) = await agent.Host.TryVirshAsync("start", "third");
            Assert.NotEqual(0, exitCode);
            Assert.Contains(
                "virttier: its min of 32 MiB of DRAM cannot be met: of the pool of 128 MiB, "
                    + "98 MiB is promised to 2 other domains and 30 MiB is left",
                output, StringComparison.Ordinal);

            // An agent that does not answer refuses nobody, and holds nobody up for long.
            agent.Agent.Signal(Daemon.SigStop);
            await agent.Host.VirshAsync("start", "third");
            agent.Agent.Signal(Daemon.SigCont);
            await agent.Host.VirshAsync("destroy", "third");

            // Room again: the picture follows the stop within a heartbeat.
            await agent.Host.VirshAsync("destroy", "first");
            await StartsEventuallyAsync("third");
        }
        finally
        {
            agent.Agent.Signal(Daemon.SigCont);
            await agent.ConfigureAsync("pool: { dram: 128MiB }\n");
            await agent.ToolOkAsync("reload");
            foreach (string domain in new[] { "first", "second", "third" })
                await agent.Host.TryVirshAsync("destroy", domain);
        }
    }

    [Fact]
    public async Task The_agent_answers_the_hook_before_it_asks_libvirt_anything()
    {
        const int Rounds = 5;
        await agent.ConfigureAsync("libvirt: { heartbeat: 5min }\npool: { dram: 128MiB }\n"); // no other cause for it to ask
        using BusLog log = await BusLog.StartAsync(agent.Host);
        try
        {
            await agent.ToolOkAsync("reload");
            await log.UntilAsync(messages => messages.Any(m => m is { Member: "ListDomains" }),
                "the last heartbeat of the old length");
            for (int round = 1; round <= Rounds; round++)
            {
                Assert.Equal("s \"\"", await CallAgentAsync("Admit", "ss", "web1", "/nonexistent"));
                int looks = log.Read().Count(m => m is { Member: "ListDomains" });
                await CallAgentAsync("Notify", "sss", "web1", "started", "/nonexistent");
                await log.UntilAsync(messages => messages.Count(m => m is { Member: "ListDomains" }) > looks,
                    "a look after the message");
                await log.UntilAsync(messages => messages.Count(m => m is { Member: "GetAllDomainStats" }) > looks,
                    "the end of that look");
            }

            // The same with a libvirt that does not answer.
            agent.Host.LibvirtDbus.Signal(Daemon.SigStop);
            Assert.Equal("s \"\"", await CallAgentAsync("Admit", "ss", "web1", "/nonexistent"));
            await CallAgentAsync("Notify", "sss", "web1", "started", "/nonexistent");

            IReadOnlyList<BusLog.Message> all = await log.UntilAsync(
                messages => messages.Count(m => m.Type == "method_return" && IsOfHook(messages, m)) == 2 * (Rounds + 1),
                "all answers");
            foreach (BusLog.Message answer in all.Where(m => m.Type == "method_return" && IsOfHook(all, m)))
            {
                IEnumerable<BusLog.Message> meanwhile = all.SkipWhile(m => !m.IsCallOf(answer)).TakeWhile(m => m != answer);
                Assert.DoesNotContain(
                    meanwhile,
                    m => m.Type == "method_call" && m.Sender == answer.Sender && m.Destination == "org.libvirt");
            }
        }
        finally
        {
            agent.Host.LibvirtDbus.Signal(Daemon.SigCont);
            await agent.ConfigureAsync("pool: { dram: 128MiB }\n");
            await agent.ToolOkAsync("reload");
        }

        static bool IsOfHook(IReadOnlyList<BusLog.Message> messages, BusLog.Message answer) =>
            messages.Any(m => m.Member is "Admit" or "Notify" && m.IsCallOf(answer));
    }

    /// <summary>Calls the agent as the hook does.</summary>
    private async Task<string> CallAgentAsync(string member, string signature, params string[] arguments)
    {
        (int exitCode, string output, string errors) = await agent.RunAsync(
            ["busctl", "call", "org.virttier.Agent1", "/org/virttier/Agent1", "org.virttier.Agent1", member,
                signature, .. arguments]);
        Assert.True(exitCode == 0, errors);
        return output.Trim();
    }

    private async Task InstallAsync()
    {
        string said = await agent.ToolOkAsync("hook", "install");
        if (!said.Contains("in place already", StringComparison.Ordinal))
        {
            Assert.Contains("systemctl reload libvirtd", said, StringComparison.Ordinal);
            agent.Host.Libvirtd.Signal(1); // SIGHUP, as systemctl reload does
            await UntilHookIsCalledAsync();
        }

        await UntilAllToldAsync();
    }

    /// <summary>libvirtd reloads when it gets to it: the hook is in place when a start and a stop
    /// have reached the agent.</summary>
    private async Task UntilHookIsCalledAsync()
    {
        long calls = (await agent.StatusAsync()).Libvirt.HookCalls;
        await agent.Host.DefineAsync(new TestDomain("probe") { MemoryMiB = 16 });
        await Eventually.IsTrue(
            async () =>
            {
                await agent.Host.VirshAsync("start", "probe");
                await agent.Host.VirshAsync("destroy", "probe");
                return (await agent.StatusAsync()).Libvirt.HookCalls > calls;
            },
            () => "libvirtd does not call the hook");
    }

    /// <summary>Waits for the hook's messages under way: each has a file until it has been delivered.</summary>
    private Task UntilAllToldAsync() => Eventually.IsTrue(
        () => Directory.GetFiles(agent.InHost("/run/virttier/hook")).Length == 0, () => "XML left in /run/virttier/hook");

    private async Task StartsEventuallyAsync(string domain)
    {
        string output = "";
        await Eventually.IsTrue(
            async () =>
            {
                (int exitCode, output) = await agent.Host.TryVirshAsync("start", domain);
                return exitCode == 0;
            },
            () => output);
    }

    private async Task<double> TimeStartAsync()
    {
        Stopwatch watch = Stopwatch.StartNew();
        await agent.Host.VirshAsync("start", "timed");
        double milliseconds = watch.Elapsed.TotalMilliseconds;
        await agent.Host.VirshAsync("destroy", "timed");
        return milliseconds;
    }
}
