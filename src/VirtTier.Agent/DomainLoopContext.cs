// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Agent.Pictures;
using VirtTier.Libvirt.Domains;
using VirtTier.Linux;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Sampling;
using VirtTier.Memory.Splitting;

namespace VirtTier.Agent;

/// <summary>What all <see cref="DomainLoop"/>s share.</summary>
/// <param name="Host">The host's memory.</param>
/// <param name="Samplers">Attaches to guests.</param>
/// <param name="Mover">Moves pages.</param>
/// <param name="Exchange">Moves pages both ways.</param>
/// <param name="Scratch">Memory for rounds.</param>
/// <param name="Sampling">How guests are looked at.</param>
/// <param name="Heat">What outlives the agent.</param>
/// <param name="Records">What is kept of each guest only to be shown.</param>
/// <param name="Loops">Watches the loop of each.</param>
/// <param name="Time">The clock.</param>
/// <param name="Log">Where log lines go.</param>
internal sealed record DomainLoopContext(
    HostMemory Host,
    IGuestSamplerFactory Samplers,
    PageMover Mover,
    PageExchange Exchange,
    RoundScratchPool Scratch,
    SamplingPace Sampling,
    HeatStore Heat,
    GuestRecords Records,
    LoopWatch Loops,
    TimeProvider Time,
    ILogger Log)
{
    /// <summary>CPU time that the calling thread has taken so far.</summary>
    public Func<TimeSpan> CpuTime { get; init; } = Libc.ThreadCpuTime;

    /// <summary>Where the threads of virtual CPUs are looked at.</summary>
    public string Procfs { get; init; } = "/proc";

    /// <summary>Has libvirt carry heat along; null where nothing can.</summary>
    public IHeatCarrier? Carrier { get; init; }

    /// <summary>Least time between two times that a domain's heat is given to libvirt.</summary>
    public TimeSpan CarryInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>What others move on this host; null where nothing tells, and then no round is passed over.</summary>
    public MovesElsewhere? Elsewhere { get; init; }

    /// <summary>Splits and joins 2 MiB pages; null where nothing can.</summary>
    public IHugePages? HugePages { get; init; }
}

/// <summary>How guests are looked at (the configuration's <c>sampling</c>).</summary>
/// <param name="Interval">Time between two harvests of a round.</param>
/// <param name="HarvestsPerRound">Harvests of a round.</param>
/// <param name="CpuShare">Most that harvesting one domain and deciding on it may use of one CPU, 0..1.</param>
/// <param name="FaultRate">Fault samples a second, where they tell what harvests cannot.</param>
internal readonly record struct SamplingPace(TimeSpan Interval, int HarvestsPerRound, double CpuShare, int FaultRate)
{
    // Four times as long: rest then costs a quarter, and what a guest newly touches is above its budget for some seconds at
    // most.
    private const int Slowest = 4;

    // A page touched 100 times a second is found by two of three harvests after 10 ms. With a factor of 4 no rate lies between
    // two times that both tell little of it.
    private static readonly TimeSpan s_firstGlance = TimeSpan.FromMilliseconds(10);
    private const int GlanceFactor = 4;

    /// <summary>
    /// When, after the interval of a harvest began, the guest is to be glanced at, after so many glances: after 10 ms, then
    /// after four times as long again and again, as far as that leaves half of the interval. Null for no more.
    /// </summary>
    public TimeSpan? GlanceAfter(int glances)
    {
        TimeSpan due = TimeSpan.Zero, next = s_firstGlance;
        for (int glance = 0; glance <= glances && due <= Interval; glance++)
        {
            due += next;
            next *= GlanceFactor;
        }
        return due <= Interval / 2 ? due : null;
    }

    /// <summary>How long a round looks at the guest, and least time between two rounds.</summary>
    public TimeSpan Round => Interval * HarvestsPerRound;

    /// <summary>Most time between two rounds of a guest that does not change.</summary>
    public TimeSpan LongestRound => Round * Slowest;
}
