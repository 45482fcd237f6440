// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests.Host;

/// <summary>Random things that happen to VMs of one source, the same ones for the same seed, and the judge of what the agent made
/// of them.</summary>
internal abstract class ChaosRun(int seed) : IAsyncDisposable
{
    private readonly List<string> _journal = [];

    /// <summary>What has happened so far.</summary>
    internal string Journal
    {
        get
        {
            lock (_journal)
                return string.Join(", ", _journal);
        }
    }

    /// <summary>The source of all chance.</summary>
    protected Random Chance { get; } = new(seed);

    /// <param name="source">What is made chaos of: dbus, files, pods, proxmox or qemu.</param>
    /// <param name="seed">The seed.</param>
    internal static async Task<ChaosRun> StartAsync(string source, int seed) => source switch
    {
        "pods" => await PodChaos.StartAsync(seed),
        "proxmox" => new ProxmoxChaos(seed),
        "qemu" => new QemuChaos(seed),
        _ => await Chaos.StartAsync(seed, Enum.Parse<LibvirtSource>(source, ignoreCase: true)),
    };

    public abstract ValueTask DisposeAsync();

    /// <summary>Lets one thing happen.</summary>
    internal abstract Task StepAsync();

    /// <summary>Waits until the agent's picture is what others say.</summary>
    /// <returns>How long it needed.</returns>
    internal abstract Task<TimeSpan> SettleAsync();

    /// <summary>One of the steps, by their weights.</summary>
    protected T Choose<T>(IReadOnlyList<(int Weight, T Step)> steps)
    {
        int dice = Chance.Next(steps.Sum(step => step.Weight));
        int chosen = 0;
        while ((dice -= steps[chosen].Weight) >= 0)
            chosen++;
        return steps[chosen].Step;
    }

    protected void Note(string what)
    {
        lock (_journal)
            _journal.Add(what);
    }

    /// <summary>Waits until the picture of a host is the truth, and no later than it may be.</summary>
    /// <param name="name">The host's name.</param>
    /// <param name="readTruth">What others than the agent say.</param>
    /// <param name="readPicture">What the agent says.</param>
    /// <param name="explain">What else may tell why it is not.</param>
    /// <returns>How long the agent needed, counted from the call or from the last reading of the truth before it was another for
    /// the last time: a guest that shuts down may take its time.</returns>
    protected async Task<TimeSpan> SettleAsync(
        string name, Func<Task<string>> readTruth, Func<string> readPicture, Func<string> explain)
    {
        Stopwatch watch = Stopwatch.StartNew();
        string? truth = null, picture = null;
        TimeSpan lastAsked = TimeSpan.Zero, truthSince = TimeSpan.Zero, pictureSince = TimeSpan.Zero,
            slowestReading = TimeSpan.Zero;
        do
        {
            TimeSpan asked = watch.Elapsed;
            Task<string> reading = readTruth();
            do
            {
                await Task.Delay(20);
                string now = readPicture();
                if (now != picture)
                    (picture, pictureSince) = (now, watch.Elapsed);
            }
            while (!reading.IsCompleted);
            if (await reading != truth)
                (truth, truthSince) = (await reading, lastAsked);
            lastAsked = asked;
            slowestReading = TimeSpan.FromTicks(Math.Max(slowestReading.Ticks, (watch.Elapsed - asked).Ticks));
        }
        while (truth != picture && watch.Elapsed < Eventually.Limit);
        Assert.True(truth == picture,
            $"seed {seed}: the picture of {name} is\n{picture}\nbut the truth is\n{truth}\nafter: {Journal}\n{explain()}");

        // Two heartbeats, and what this machine makes of a few questions to others.
        TimeSpan late = pictureSince > truthSince ? pictureSince - truthSince : TimeSpan.Zero,
            limit = (2 * new DomainMonitorOptions().Heartbeat) + slowestReading;
        Assert.True(late <= limit,
            $"seed {seed}: the picture of {name} was right {late.TotalSeconds:0.0} s late, "
                + $"the limit is {limit.TotalSeconds:0.0} s, after: {Journal}\n{explain()}");
        return late;
    }
}
