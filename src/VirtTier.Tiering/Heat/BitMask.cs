// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace VirtTier.Tiering.Heat;

/// <summary>Bits to byte masks.</summary>
internal static class BitMask
{
    /// <summary>Byte i of the result is 0xFF where bit i is set, else 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Expand(uint bits)
    {
        Vector256<byte> byteOfEach = Vector256.Create(
            (byte)0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
            18, 18, 18, 18, 18, 18, 18, 18, 19, 19, 19, 19, 19, 19, 19, 19);
        Vector256<byte> bitOfEach = Vector256.Create(0x8040201008040201UL).AsByte();
        Vector256<byte> spread = Vector256.Shuffle(Vector256.Create(bits).AsByte(), byteOfEach);
        return Vector256.Equals(spread & bitOfEach, bitOfEach);
    }
}
