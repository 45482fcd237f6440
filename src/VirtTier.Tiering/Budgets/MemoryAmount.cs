// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Budgets;

/// <summary>An amount of memory: so many bytes, or a percentage of the domain's memory.</summary>
public readonly record struct MemoryAmount
{
    private const int PageSize = 4096;

    private readonly double _value;
    private readonly bool _isPercent;

    private MemoryAmount(double value, bool isPercent)
    {
        _value = value;
        _isPercent = isPercent;
    }

    /// <summary>So many bytes; parts of a page do not count.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Negative.</exception>
    public static MemoryAmount FromBytes(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        return new(bytes, isPercent: false);
    }

    /// <summary>A percentage of the domain's memory, 0..100.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Outside 0..100.</exception>
    public static MemoryAmount FromPercent(double percent)
    {
        if (percent is not (>= 0 and <= 100))
            throw new ArgumentOutOfRangeException(nameof(percent), percent, "A percentage of memory is 0 to 100.");
        return new(percent, isPercent: true);
    }

    /// <summary>The amount in whole 4 KiB pages, at most the domain's.</summary>
    /// <param name="memoryPages">The domain's memory in pages.</param>
    public long ToPages(long memoryPages) =>
        Math.Min(memoryPages, (long)(_isPercent ? memoryPages * _value / 100 : _value / PageSize));
}
