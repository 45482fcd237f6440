// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Heat;

/// <summary>
/// How busy the 32 pages around a page were in the last round: programs lay out together what they use together, so a page's
/// neighbours tell of its next round before it is accessed itself.
/// </summary>
/// <param name="pages">4 KiB pages of the domain.</param>
internal sealed class Neighbourhood(int pages)
{
    /// <summary>Classes of busyness: at most one page of the 32, a quarter, half, or more of them accessed.</summary>
    public const int Classes = 4;

    /// <summary>Pages of a neighbourhood: what a vector holds.</summary>
    public const int Pages = 32;

    // One page alone says nothing of its neighbours.
    private const int Few = 2;
    private const int Quarter = Pages / 4;
    private const int Half = Pages / 2;

    private readonly byte[] _classes = new byte[pages / Pages];

    /// <summary>The class of a page's neighbourhood.</summary>
    public ref byte this[int page] => ref _classes[page / Pages];

    /// <summary>The class of a neighbourhood of which so many pages were accessed.</summary>
    public static byte ClassOf(int accessed) => accessed switch { < Few => 0, < Quarter => 1, < Half => 2, _ => 3 };

    /// <summary>The classes of a run of neighbourhoods.</summary>
    public Span<byte> Of(int firstPage, int count) =>
        _classes.AsSpan(firstPage / Pages, count / Pages);

    public void Write(BinaryWriter writer) => writer.Write(_classes);

    public void Read(BinaryReader reader)
    {
        reader.BaseStream.ReadExactly(_classes);
        HeatFileFormat.Require(!_classes.AsSpan().ContainsAnyExceptInRange((byte)0, (byte)(Classes - 1)), "neighbourhood");
    }
}
