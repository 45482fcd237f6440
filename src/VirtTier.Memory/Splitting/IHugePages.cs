// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Splitting;

/// <summary>Splits and joins 2 MiB pages of other processes. Nothing of their content or place changes by it.</summary>
public interface IHugePages
{
    /// <summary>Splits 2 MiB pages into their 4 KiB pages, each of which can then be moved by itself. One that is split already
    /// is <see cref="SplitOutcome.Done"/>.</summary>
    /// <param name="pid">The process.</param>
    /// <param name="blocks">The address of each. What is not a multiple of 2 MiB, and so no 2 MiB page, is
    /// <see cref="SplitOutcome.Refused"/>.</param>
    /// <param name="outcomes">Gets what came of each.</param>
    void Split(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes);

    /// <summary>Joins 512 pages each to one 2 MiB page, on the node that most of them are on. Those that have no memory get some.
    /// One that is whole already is <see cref="SplitOutcome.Done"/>.</summary>
    /// <param name="pid">The process.</param>
    /// <param name="blocks">The address of each. What is not a multiple of 2 MiB, and so no 2 MiB page, is
    /// <see cref="SplitOutcome.Refused"/>.</param>
    /// <param name="outcomes">Gets what came of each.</param>
    void Join(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes);
}
