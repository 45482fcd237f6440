// SPDX-License-Identifier: Apache-2.0
using System.IO.Compression;
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.History;

/// <summary>What outlives a round of a guest only to be shown: its picture, its long curve and its moves.
/// Nothing is decided by it.</summary>
/// <param name="ring">Where it accessed its memory, and when.</param>
/// <param name="curve">What DRAM would have done for it.</param>
public sealed class GuestHistory(HeatRing ring, LongCurve curve)
{
    // Of its own version, so that what is learned outlives a change of what is only shown.
    internal static readonly HeatFileKind Kind = new("VTSHOWN\n", 1, "history", CompressionLevel.Fastest);

    /// <summary>Where the guest accessed its memory, and when.</summary>
    public HeatRing Ring { get; private set; } = ring;

    /// <summary>What DRAM would have done for it.</summary>
    public LongCurve Curve { get; private set; } = curve;

    /// <summary>What was moved of it, and when.</summary>
    public MoveRing Moves { get; private set; } = new();

    /// <summary>Goes on with memory of so many pages.</summary>
    public void Resize(int pages)
    {
        if (pages == Ring.Pages)
            return;
        HeatRing ring = new(pages);
        ring.TakeOver(Ring);
        Ring = ring;
    }

    /// <summary>As bytes to be kept while the agent does not run.</summary>
    /// <param name="guest">A number that is another one for another guest.</param>
    public byte[] Save(ulong guest) => HeatFileFormat.Pack(guest, writer =>
    {
        Ring.Write(writer);
        Curve.Write(writer);
        Moves.Write(writer);
    }, Kind);

    /// <summary>Takes over what was saved, in place of what is here.</summary>
    /// <param name="state">What <see cref="Save"/> gave.</param>
    /// <param name="guest">The guest now.</param>
    /// <returns>Null, or why it does not fit; then nothing was taken over.</returns>
    public string? Restore(ReadOnlySpan<byte> state, ulong guest)
    {
        if (HeatFileFormat.Refusal(state, guest, Kind) is { } refusal)
            return refusal;
        int pages = Ring.Pages;
        (HeatRing Ring, LongCurve Curve, MoveRing Moves) read = (Ring, Curve, Moves);
        string? damage = HeatFileFormat.Unpack(
            state, reader => read = (HeatRing.Read(reader), LongCurve.Read(reader), MoveRing.Read(reader)));
        if (damage is not null)
            return damage;
        (Ring, Curve, Moves) = read;
        Resize(pages);
        return null;
    }
}
