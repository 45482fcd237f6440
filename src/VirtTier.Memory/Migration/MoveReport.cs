// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Migration;

/// <summary>What one <c>PageMover.MoveAsync</c> did.</summary>
/// <param name="Outcomes">The outcome of each run, in the order in which they were asked for.</param>
/// <param name="Counters">Sums, in pages: a block counts as 512.</param>
/// <param name="Problem">What a person must mend, in words; null if nothing.</param>
public sealed record MoveReport(ReadOnlyMemory<MoveOutcome> Outcomes, MoveCounters Counters, string? Problem)
{
    /// <summary>Pages on the wanted node now.</summary>
    public long Moved => Counters[MoveOutcome.Moved];
}
