// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Microbench;

/// <summary>The most that a benchmark may allocate for each of the pages that it works on.</summary>
/// <param name="pages">How many pages those are.</param>
/// <param name="limit">Bytes a page.</param>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class BytesPerPageAttribute(int pages, double limit) : Attribute
{
    public int Pages { get; } = pages;

    public double Limit { get; } = limit;
}
