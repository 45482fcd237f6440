// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Text;

namespace VirtTier.Tiering.Heat;

/// <summary>
/// The heat of a domain as bytes, so that it outlives the agent: magic and version, what the layout was, an XXH128 of the
/// rest, and the rest, compressed. The hash is against damage, not against who can write the file.
/// </summary>
internal static class HeatFileFormat
{
    private const int AtHash = 8 + 4 + 8;
    private const int HashBytes = 16;
    private const int HeaderBytes = AtHash + HashBytes;

    /// <summary>What is kept on this host for the agent alone.</summary>
    private static readonly HeatFileKind s_state = new("VTHEAT\r\n", 6, "heat state", CompressionLevel.Fastest);

    /// <summary>Packs a domain's state.</summary>
    /// <param name="layout">Anything that changes when page numbers come to mean other memory.</param>
    /// <param name="write">Writes the contents.</param>
    /// <param name="kind">What it is; null for the agent's own state.</param>
    public static byte[] Pack(ulong layout, Action<BinaryWriter> write, HeatFileKind? kind = null)
    {
        kind ??= s_state;
        using MemoryStream packed = new();
        packed.SetLength(HeaderBytes);
        packed.Position = HeaderBytes;
        using (DeflateStream deflate = new(packed, kind.Compression, leaveOpen: true))
        using (BinaryWriter writer = new(deflate))
            write(writer);
        byte[] state = packed.ToArray();
        Span<byte> header = state.AsSpan(0, HeaderBytes);
        Encoding.ASCII.GetBytes(kind.Magic, header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], kind.Version);
        BinaryPrimitives.WriteUInt64LittleEndian(header[12..], layout);
        XxHash128.Hash(state.AsSpan(HeaderBytes), header[AtHash..]);
        return state;
    }

    /// <summary>Says why a state cannot be used, or null if it can.</summary>
    public static string? Refusal(ReadOnlySpan<byte> state, ulong layout, HeatFileKind? kind = null)
    {
        kind ??= s_state;
        if (state.Length < HeaderBytes || !state.StartsWith(Encoding.ASCII.GetBytes(kind.Magic)))
            return $"it is no {kind.Name}";
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(state[8..]);
        if (version != kind.Version)
            return $"it has version {version}, this agent reads {kind.Version}";
        if (BinaryPrimitives.ReadUInt64LittleEndian(state[12..]) != layout)
            return "the domain's memory is laid out otherwise now";
        if (!XxHash128.Hash(state[HeaderBytes..]).AsSpan().SequenceEqual(state.Slice(AtHash, HashBytes)))
            return "its checksum is wrong";
        return null;
    }

    /// <summary>Unpacks a state that <see cref="Refusal"/> has nothing against. Whoever can write the file can make
    /// the checksum, so what it says is checked all the same.</summary>
    /// <param name="state">The state.</param>
    /// <param name="read">Reads the contents to their end; throws <see cref="InvalidDataException"/> for what cannot be.</param>
    /// <returns>Null, or why it cannot be used; what was read until then is to be forgotten.</returns>
    public static string? Unpack(ReadOnlySpan<byte> state, Action<BinaryReader> read)
    {
        using MemoryStream packed = new(state[HeaderBytes..].ToArray());
        using DeflateStream deflate = new(packed, CompressionMode.Decompress);
        using BinaryReader reader = new(deflate);
        try
        {
            read(reader);
            return deflate.ReadByte() < 0 ? null : "it goes on where it should end";
        }
        catch (EndOfStreamException)
        {
            return "it breaks off";
        }
        catch (InvalidDataException e)
        {
            return e.Message;
        }
    }

    /// <summary>For what is read: refuses what no planner has written.</summary>
    /// <exception cref="InvalidDataException">It is so.</exception>
    public static void Require(bool isPossible, string what)
    {
        if (!isPossible)
            throw new InvalidDataException($"it is damaged: no agent writes such a {what}");
    }
}

/// <summary>What a <see cref="HeatFileFormat"/> has in it.</summary>
/// <param name="Magic">Its first eight bytes.</param>
/// <param name="Version">The version of its contents.</param>
/// <param name="Name">Its name for people.</param>
/// <param name="Compression">How hard it is packed.</param>
internal sealed record HeatFileKind(string Magic, uint Version, string Name, CompressionLevel Compression);
