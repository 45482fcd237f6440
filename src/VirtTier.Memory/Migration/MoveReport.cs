// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Migration;

/// <summary>What one <see cref="PageMover.MoveAsync"/> did.</summary>
/// <param name="Outcomes">The outcome of each page, in the order in which they were asked for.</param>
/// <param name="Counters">Sums, in 4 KiB pages: a 2 MiB mapping counts as 512, however many of its pages were asked for.</param>
/// <param name="Problem">What a person must mend, in words; null if nothing.</param>
public sealed record MoveReport(ReadOnlyMemory<MoveOutcome> Outcomes, MoveCounters Counters, string? Problem)
{
    /// <summary>Pages (4 KiB) on the wanted node now.</summary>
    public long Moved => Counters[MoveOutcome.Moved];
}
