// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Traces;

/// <summary>What an access did to a page.</summary>
public enum AccessKind : byte
{
    /// <summary>Data was read (<c>r</c>).</summary>
    Read,

    /// <summary>Data was written (<c>w</c>).</summary>
    Write,

    /// <summary>Instructions were fetched (<c>x</c>).</summary>
    Fetch,
}

/// <summary>One recorded access.</summary>
/// <param name="TimeNs">When, in nanoseconds from any origin.</param>
/// <param name="Gfn">Guest frame number: which 4 KiB page.</param>
/// <param name="Kind">What it did.</param>
public readonly record struct TraceAccess(long TimeNs, ulong Gfn, AccessKind Kind);
