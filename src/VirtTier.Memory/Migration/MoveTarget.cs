// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Pagemap;

namespace VirtTier.Memory.Migration;

/// <summary>One guest's memory as the target of migration: which process, where its pages lie, its limits and its sums.</summary>
/// <remarks>One thread at a time uses it; <see cref="Counters"/>, <see cref="Rate"/> and <see cref="Work"/>
/// are safe from any thread.</remarks>
public sealed class MoveTarget
{
    private readonly TimeProvider _time;
    private readonly TimeSpan _asideFor;

    /// <summary>Made by <see cref="PageMover.Target"/>.</summary>
    internal MoveTarget(int pid, GuestLayout layout, MoveBatch batch, TimeProvider time, TimeSpan asideFor)
    {
        _time = time;
        _asideFor = asideFor;
        Pid = pid;
        Batch = batch;
        Rate = new TokenBucket(time, 0);
        Work = new TokenBucket(time, 0);
        Layout = layout;
        Forget();
    }

    /// <summary>The process that runs the guest.</summary>
    internal int Pid { get; }

    /// <summary>The guest's layout now.</summary>
    public GuestLayout Layout { get; private set; }

    /// <summary>The guest's own limit of migration traffic, beside the host's; unlimited at first.</summary>
    public TokenBucket Rate { get; }

    /// <summary>
    /// Limit of the CPU time that moving its pages takes, in nanoseconds a second; unlimited at first. Each run that moves,
    /// whatever its size, interrupts all of the guest's CPUs, for at most as long as the move itself works: so this limits how
    /// much of its time the guest loses to them, on any machine.
    /// </summary>
    public TokenBucket Work { get; }

    /// <summary>Called at each step of a migration, and now and then while it waits for its rate.</summary>
    public Action Progress { get; set; } = () => { };

    /// <summary>Sums of all migration since the guest was attached.</summary>
    public MoveCounters Counters { get; } = new();

    internal MoveBatch Batch { get; }

    /// <summary>The lists of the <see cref="MoveJob"/> at work, kept so that the next one need not grow its own.</summary>
    internal (List<int> Todo, List<int> Busy) Lists { get; } = ([], []);

    /// <summary>Pages that were still busy after all retries.</summary>
    internal AgingPageSet Pinned { get; private set; }

    internal Drift Drift { get; private set; }

    /// <summary>True once pages mapped by several processes were met: they are asked for with
    /// MPOL_MF_MOVE_ALL from then on.</summary>
    internal bool IsShared { get; set; }

    /// <summary>Takes a changed layout. What was known about single pages is forgotten: their indexes mean others now.</summary>
    public void Relayout(GuestLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Layout = layout;
        Forget();
    }

    /// <summary>
    /// Compares where pages are with where they were last moved to, and counts those that the kernel or another tool has moved
    /// since (<see cref="MoveCounters.Drifted"/>). A page to which this happens twice within some minutes is not fought over: for
    /// some minutes its outcome is <see cref="MoveOutcome.Contested"/>.
    /// </summary>
    /// <param name="firstIndex">Page index of the first element.</param>
    /// <param name="nodes">The node of each page, as <see cref="ResidencyReader"/> gives it: of the
    /// whole layout or a slice.</param>
    /// <returns>How many pages had drifted.</returns>
    public long Observe(int firstIndex, ReadOnlySpan<byte> nodes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstIndex);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(nodes.Length, Layout.PageCount - firstIndex, nameof(nodes));
        long drifted = Drift.Observe(firstIndex, nodes);
        Counters.AddDrifted(drifted);
        return drifted;
    }

    [MemberNotNull(nameof(Pinned), nameof(Drift))]
    private void Forget()
    {
        Pinned = new AgingPageSet(_time, _asideFor, Layout.PageCount);
        Drift = new Drift(_time, _asideFor, Layout.PageCount);
    }
}
