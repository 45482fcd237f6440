// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Polly;
using Polly.CircuitBreaker;
using Polly.Retry;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>
/// Moves guests' pages between NUMA nodes, one for the whole host. Every run asked for gets an outcome; nothing is lost when the
/// kernel does only a part of the work, which is its normal way (see <c>MoveBatch</c>).
/// </summary>
/// <remarks>
/// The pages are worked through in batches that fit the time limit for a call and the rate limits. Busy pages are left for a
/// further pass after a pause, so that they hold up no other page. Guests may be worked on at the same time from several threads,
/// each guest from one.
/// </remarks>
public sealed class PageMover
{
    // What waits for its rate says at least this often that it goes on.
    private static readonly TimeSpan s_longestSilence = TimeSpan.FromSeconds(15);

    private readonly INumaCalls _calls;
    private readonly PageMoverOptions _options;
    private readonly TimeProvider _time;
    private readonly ResiliencePipeline<bool> _retry;
    private readonly ConcurrentDictionary<int, ResiliencePipeline<int>> _circuits = new();
    private bool _mayMoveShared = true;
    private long _movedPages;

    /// <summary>Makes the mover.</summary>
    public PageMover(INumaCalls calls, PageMoverOptions options, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        _calls = calls;
        _options = options;
        _time = time;
        Rate = new TokenBucket(time, options.BytesPerSecond);
        _retry = NewRetry();
    }

    /// <summary>The host's limit of migration traffic.</summary>
    public TokenBucket Rate { get; }

    /// <summary>Pages (4 KiB) of all guests that it has moved so far.</summary>
    public long MovedPages => Interlocked.Read(ref _movedPages);

    /// <summary>Takes up a guest.</summary>
    public MoveTarget Target(int pid, GuestLayout layout) =>
        new(pid, layout, new MoveBatch(_calls, _options.CallTimeLimit), _time, _options.AsideFor);

    /// <summary>Null if the cpuset of a process lets it have memory on <paramref name="node"/>; pid 0 is the caller.</summary>
    /// <exception cref="GuestMemoryException">The process has ended.</exception>
    public ForbiddenNode? CheckNode(int pid, int node) => _calls.CheckNode(pid, node);

    /// <summary>The memory of a process that is bound strictly to nodes, in order of address.
    /// Costs time for each of its pages.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or may not be looked at.</exception>
    public IReadOnlyList<MemoryBinding> ReadBindings(int pid) => _calls.ReadBindings(pid);

    /// <inheritdoc cref="INumaCalls.FreeBytes"/>
    public long FreeBytes(int node) => _calls.FreeBytes(node);

    /// <summary>Moves pages of one guest to one node: see the other overload.</summary>
    public Task<MoveReport> MoveAsync(
        MoveTarget target, ReadOnlyMemory<PageRun> runs, int node, CancellationToken cancel) =>
        MoveAsync(target, runs, [node], cancel);

    /// <summary>Moves pages of one guest to one node, or to others where that has no room.</summary>
    /// <param name="target">The guest.</param>
    /// <param name="runs">Pages and blocks, best in order; not to be changed until the work is done.</param>
    /// <param name="nodes">The nodes to move to: each is for what has no room on those before it.</param>
    /// <param name="cancel">Ends the work after the current call; the report says what was done until then.</param>
    /// <returns>What became of each run. Failures of single pages, a full node, a cpuset and the end of the process are outcomes,
    /// not exceptions.</returns>
    /// <exception cref="ArgumentException">A run is neither one page nor one block.</exception>
    /// <exception cref="GuestMemoryException">The kernel gave an answer that move_pages(2) does not document.</exception>
    public async Task<MoveReport> MoveAsync(
        MoveTarget target,
        ReadOnlyMemory<PageRun> runs,
        IReadOnlyList<int> nodes,
        CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(nodes);
        ArgumentOutOfRangeException.ThrowIfZero(nodes.Count, nameof(nodes));
        var job = new MoveJob(target, runs, nodes);
        try
        {
            await _retry.ExecuteAsync(PassAsync, job, cancel).ConfigureAwait(false);
            job.SettleBusy(MoveOutcome.Pinned);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            job.Cancel();
        }

        Interlocked.Add(ref _movedPages, job.Counters[MoveOutcome.Moved]);
        target.Counters.Add(job.Counters);
        return job.Report();
    }

    /// <summary>Tries all that is left to do once.</summary>
    /// <returns>True if pages were busy, and another pass is worth while.</returns>
    private async ValueTask<bool> PassAsync(MoveJob job, CancellationToken cancel)
    {
        job.RetryBusy();
        MoveBatch batch = job.Target.Batch;
        while (job.HasTodo)
        {
            await WaitForRateAsync(job.Target, cancel).ConfigureAwait(false);
            long room = _calls.FreeBytes(job.Node);
            batch.Take(job, Math.Min(room, Math.Min(Rate.LargestBatch, job.Target.Rate.LargestBatch)));
            MoveScope scope = job.Target.IsShared ? MoveScope.Shared : MoveScope.Own;
            CallError error = Call(job, scope, room);
            if (error == CallError.NoPermission && scope == MoveScope.Shared)
            {
                // Without CAP_SYS_NICE the pages of this process alone may still be moved.
                _mayMoveShared = false;
                job.Target.IsShared = false;
                continue;
            }

            bool elsewhere = error is CallError.TargetFull or CallError.NoSuchNode && job.HasNextNode;
            Sort(job, scope, error, elsewhere);
            if (elsewhere)
                job.NextNode();
            else if (error != CallError.None)
            {
                EndWith(error, job);
                return false;
            }
        }

        return job.HasBusy;
    }

    private async ValueTask WaitForRateAsync(MoveTarget target, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        target.Progress();
        for (TimeSpan delay = LongestDelay(); delay > TimeSpan.Zero; delay = LongestDelay())
        {
            await Task.Delay(delay < s_longestSilence ? delay : s_longestSilence, _time, cancel).ConfigureAwait(false);
            target.Progress();
        }

        TimeSpan LongestDelay() =>
            TimeSpan.FromTicks(Math.Max(Rate.Delay().Ticks, Math.Max(target.Rate.Delay().Ticks, target.Work.Delay().Ticks)));
    }

    // A node without room is not even asked: before it refuses, the kernel may reclaim memory there for minutes, and it logs a
    // stack trace.
    private CallError Call(MoveJob job, MoveScope scope, long room)
    {
        ResiliencePipeline<int> circuit = _circuits.GetOrAdd(job.Node, _ => NewCircuit());
        try
        {
            return (CallError)circuit.Execute(
                state => (int)(state.job.Target.Batch.Bytes > state.room
                    ? CallError.TargetFull
                    : Run(state.job, state.scope)),
                (job, scope, room));
        }
        catch (BrokenCircuitException)
        {
            return CallError.TargetFull;
        }
    }

    private CallError Run(MoveJob job, MoveScope scope)
    {
        MoveBatch batch = job.Target.Batch;
        CallError error = batch.Run(job.Target.Pid, job.Node, scope, _time, job.Counters);
        job.Target.Work.Charge((long)batch.CpuTime.TotalNanoseconds);
        return error;
    }

    /// <summary>
    /// Settles what the call did to each run. Without an error, the next call begins at the first that was not tried; an
    /// error settles those too, unless they can go <paramref name="elsewhere"/>.
    /// </summary>
    private void Sort(MoveJob job, MoveScope scope, CallError error, bool elsewhere)
    {
        MoveBatch batch = job.Target.Batch;
        ReadOnlySpan<AddressResult> results = batch.Results;
        ReadOnlySpan<int> positions = job.Todo[..results.Length];
        int firstNotTried = results.IndexOf(AddressResult.NotTried);
        int settled = error == CallError.None && firstNotTried >= 0 ? firstNotTried : results.Length;
        long movedPages = 0;
        for (int i = 0; i < settled; i++)
        {
            int position = positions[i];
            switch (results[i])
            {
                case AddressResult.Moved:
                    int moved = results[i..settled].IndexOfAnyExcept(AddressResult.Moved);
                    ReadOnlySpan<int> alike = moved < 0 ? positions[i..settled] : positions.Slice(i, moved);
                    movedPages += (long)alike.Length * job.Runs[position].Count;
                    job.SettleMoved(alike);
                    i += alike.Length - 1;
                    break;
                case AddressResult.Absent:
                    job.Settle(position, MoveOutcome.Absent);
                    break;
                case AddressResult.NotTried when elsewhere:
                    job.TryAgain(position);
                    break;
                case AddressResult.NotTried:
                    job.Settle(position, OutcomeOf(error));
                    break;
                case AddressResult.Shared when scope == MoveScope.Own && !_mayMoveShared:
                    job.Settle(position, MoveOutcome.Shared);
                    break;
                case AddressResult.Shared when scope == MoveScope.Own:
                    job.Target.IsShared = true;
                    job.TryAgain(position);
                    break;
                default:
                    job.Defer(position);
                    break;
            }
        }

        job.Advance(settled);
        Rate.Charge(movedPages * PageSizes.PageBytes);
        job.Target.Rate.Charge(movedPages * PageSizes.PageBytes);
    }

    private void EndWith(CallError error, MoveJob job)
    {
        int pid = job.Target.Pid;
        job.Problem = error switch
        {
            CallError.ProcessGone => null,
            CallError.TargetFull => $"NUMA node {NodeList.Format(job.Nodes)} has no free pages of the size that is needed: "
                + "free memory there (numastat -m shows it), or add some",
            CallError.TargetCpuset => $"process {pid}: {ForbiddenText(pid, job.Node)}",
            CallError.CallerCpuset => $"the agent itself: {ForbiddenText(0, job.Node)}",
            CallError.NoSuchNode => $"NUMA node {job.Node} does not exist or has no memory: "
                + "name others in the configuration (tiers.fast, tiers.slow)",
            _ => $"no right to move pages of process {pid}: the agent needs CAP_SYS_NICE and CAP_SYS_PTRACE, "
                + "which its unit gives it (systemctl restart virttier)",
        };
        job.SettleTodo(OutcomeOf(error));
        job.SettleBusy(MoveOutcome.Busy);
    }

    private static MoveOutcome OutcomeOf(CallError error) => error switch
    {
        CallError.ProcessGone => MoveOutcome.ProcessGone,
        CallError.TargetFull => MoveOutcome.TargetFull,
        CallError.TargetCpuset or CallError.CallerCpuset => MoveOutcome.ForbiddenByCpuset,
        _ => MoveOutcome.Refused,
    };

    private string ForbiddenText(int pid, int node) =>
        _calls.CheckNode(pid, node)?.ToString() ?? $"the cpuset forbade memory on node {node}, but allows it now";

    private ResiliencePipeline<bool> NewRetry() =>
        new ResiliencePipelineBuilder<bool> { TimeProvider = _time }
            .AddRetry(new RetryStrategyOptions<bool>
            {
                ShouldHandle = arguments => ValueTask.FromResult(arguments.Outcome is { Exception: null, Result: true }),
                MaxRetryAttempts = _options.Retries,
                Delay = _options.RetryDelay,
                BackoffType = DelayBackoffType.Exponential,
            })
            .Build();

    // A ratio of 0: the first call that finds the node full opens the circuit, however many went well before; but the
    // breaker wants to have seen two calls. Results are CallErrors as numbers: of an enum, Polly's options ask for what a program
    // that is compiled beforehand does not have.
    private ResiliencePipeline<int> NewCircuit() =>
        new ResiliencePipelineBuilder<int> { TimeProvider = _time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<int>
            {
                ShouldHandle = arguments => ValueTask.FromResult(
                    arguments.Outcome is { Exception: null, Result: (int)CallError.TargetFull }),
                FailureRatio = 0,
                MinimumThroughput = 2,
                SamplingDuration = _options.FullFor,
                BreakDuration = _options.FullFor,
            })
            .Build();
}
