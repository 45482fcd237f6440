// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.IO.Compression;
using System.Security.Cryptography;

namespace VirtTier.Tiering.Heat;

/// <summary>
/// The heat of a domain as bytes, so that it outlives the agent: magic and version, what the layout was, a SHA-256 of the
/// rest, and the rest, compressed.
/// </summary>
internal static class HeatFileFormat
{
    private const uint Version = 4;
    private const int HeaderBytes = 8 + 4 + 8 + SHA256.HashSizeInBytes;

    private static ReadOnlySpan<byte> Magic => "VTHEAT\r\n"u8;

    /// <summary>Packs a domain's state.</summary>
    /// <param name="layout">Anything that changes when page numbers come to mean other memory.</param>
    /// <param name="write">Writes the contents.</param>
    public static byte[] Pack(ulong layout, Action<BinaryWriter> write)
    {
        using MemoryStream packed = new();
        packed.SetLength(HeaderBytes);
        packed.Position = HeaderBytes;
        using (DeflateStream deflate = new(packed, CompressionLevel.Fastest, leaveOpen: true))
        using (BinaryWriter writer = new(deflate))
            write(writer);
        byte[] state = packed.ToArray();
        Span<byte> header = state.AsSpan(0, HeaderBytes);
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(header[12..], layout);
        SHA256.HashData(state.AsSpan(HeaderBytes), header[20..]);
        return state;
    }

    /// <summary>Says why a state cannot be used, or null if it can.</summary>
    public static string? Refusal(ReadOnlySpan<byte> state, ulong layout)
    {
        if (state.Length < HeaderBytes || !state.StartsWith(Magic))
            return "it is no heat state";
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(state[8..]);
        if (version != Version)
            return $"it has version {version}, this agent reads {Version}";
        if (BinaryPrimitives.ReadUInt64LittleEndian(state[12..]) != layout)
            return "the domain's memory is laid out otherwise now";
        if (!SHA256.HashData(state[HeaderBytes..]).AsSpan().SequenceEqual(state.Slice(20, SHA256.HashSizeInBytes)))
            return "its checksum is wrong";
        return null;
    }

    /// <summary>Unpacks a state that <see cref="Refusal"/> has nothing against.</summary>
    public static void Unpack(ReadOnlySpan<byte> state, Action<BinaryReader> read)
    {
        using MemoryStream packed = new(state[HeaderBytes..].ToArray());
        using DeflateStream deflate = new(packed, CompressionMode.Decompress);
        using BinaryReader reader = new(deflate);
        read(reader);
    }
}
