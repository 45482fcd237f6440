// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Traces;

/// <summary>Writes traces in the compact binary form.</summary>
/// <remarks>
/// The bytes <c>VTTR</c>, a byte with the version (1), then two numbers an access: the step in time since the access before
/// (nanoseconds), and the step in gfn with the kind of access in its low two bits (0 r, 1 w, 2 x). Steps are signed in
/// zigzag form (0, -1, 1, -2, ... as 0, 1, 2, 3, ...) and begin from 0; numbers have seven bits a byte, the lowest first,
/// and the high bit set in all bytes but the last. Pack the file with gzip if it is to be small.
/// </remarks>
/// <param name="stream">Where to write to; not closed.</param>
public sealed class TraceWriter(Stream stream)
{
    internal const int Version = 1;
    internal const int KindBits = 2;

    private bool _begun;
    private long _time;
    private long _gfn;

    internal static ReadOnlySpan<byte> Magic => "VTTR"u8;

    /// <summary>Writes one access.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The gfn has more than 60 bits.</exception>
    /// <exception cref="OverflowException">The step in time has more than 64 bits.</exception>
    public void Write(TraceAccess access)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(access.Gfn, 1UL << 60);
        if (!_begun)
        {
            stream.Write(Magic);
            stream.WriteByte(Version);
            _begun = true;
        }
        WriteNumber(ToZigZag(access.TimeNs - _time));
        WriteNumber((ToZigZag((long)access.Gfn - _gfn) << KindBits) | (byte)access.Kind);
        _time = access.TimeNs;
        _gfn = (long)access.Gfn;
    }

    internal static long FromZigZag(ulong number) => (long)(number >> 1) ^ -(long)(number & 1);

    private static ulong ToZigZag(long number) => unchecked((ulong)number << 1 ^ (ulong)(number >> 63));

    private void WriteNumber(ulong number)
    {
        for (; number >= 0x80; number >>= 7)
            stream.WriteByte((byte)((number & 0x7f) | 0x80));
        stream.WriteByte((byte)number);
    }
}
