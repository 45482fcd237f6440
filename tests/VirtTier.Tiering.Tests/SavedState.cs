// SPDX-License-Identifier: Apache-2.0
using System.IO.Compression;

namespace VirtTier.Tiering.Tests;

/// <summary>What is inside of a file that the agent saves.</summary>
internal static class SavedState
{
    /// <summary>Magic, version, layout, checksum.</summary>
    public const int HeaderBytes = 8 + 4 + 8 + 16;

    /// <summary>What is behind the checksum, unpacked.</summary>
    public static byte[] Contents(byte[] state)
    {
        using MemoryStream packed = new(state, HeaderBytes, state.Length - HeaderBytes);
        using DeflateStream unpacked = new(packed, CompressionMode.Decompress);
        using MemoryStream contents = new();
        unpacked.CopyTo(contents);
        return contents.ToArray();
    }
}
