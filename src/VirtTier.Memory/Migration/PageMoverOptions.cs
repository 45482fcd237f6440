// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Migration;

/// <summary>Limits of migration on one host.</summary>
public sealed record PageMoverOptions
{
    /// <summary>Limit of traffic for all guests together, in bytes a second; 0 means none.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>
    /// The most that one call of move_pages(2) should take. A guest's access to a page that is on the move waits for it, and the
    /// call keeps other work from changing the process's mappings; calls of some 20 ms are not noticed.
    /// </summary>
    public TimeSpan CallTimeLimit { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>How often a busy page is tried again before it counts as pinned; at least 1.</summary>
    public int Retries { get; init; } = 3;

    /// <summary>Wait before the first retry; it doubles with each. I/O that holds a page takes milliseconds.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>How long a pinned or contested page is left alone, at least; at most twice that.</summary>
    public TimeSpan AsideFor { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long nothing is moved to a node after it was found full.</summary>
    public TimeSpan FullFor { get; init; } = TimeSpan.FromSeconds(5);
}
