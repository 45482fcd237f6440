// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Tests.Unit;

public sealed class SizeSpecTests
{
    [Theory]
    [InlineData("512MiB", 512ul << 20)]
    [InlineData("2GiB", 2ul << 30)]
    [InlineData("1.5GiB", 3ul << 29)]
    [InlineData(" 64 KiB ", 64ul << 10)]
    [InlineData("1TiB", 1ul << 40)]
    [InlineData("0MiB", 0ul)]
    public void Sizes_with_a_unit_are_bytes(string text, ulong bytes)
    {
        Assert.Equal(SizeSpec.FromBytes(bytes), SizeSpec.Parse(text));
        Assert.Equal(bytes, SizeSpec.Parse(text).Resolve(memoryBytes: 1));
    }

    [Theory]
    [InlineData("25%", 1000, 250)]
    [InlineData("12.5%", 1000, 125)]
    [InlineData("100%", ulong.MaxValue, ulong.MaxValue)]
    [InlineData("0%", 1000, 0)]
    public void Percentages_are_of_the_domains_memory(string text, ulong memory, ulong bytes) =>
        Assert.Equal(bytes, SizeSpec.Parse(text).Resolve(memory));

    [Fact]
    public void Auto_and_unset_are_no_fixed_number()
    {
        Assert.Equal(SizeSpec.Auto, SizeSpec.Parse("auto"));
        Assert.Null(SizeSpec.Auto.Resolve(1000));
        Assert.Null(SizeSpec.Unset.Resolve(1000));
        Assert.False(SizeSpec.Unset.IsSet);
    }

    [Theory]
    [InlineData("2000", "'2000' has no unit: write 2000MiB or 2000GiB, for example")]
    [InlineData("2GB", "unknown unit 'GB': use KiB, MiB, GiB or TiB")]
    [InlineData("2gib", "unknown unit 'gib'")]
    [InlineData("", "is not a size: write a number and a unit, such as 512MiB or 2GiB")]
    [InlineData("much", "is not a size")]
    [InlineData("-1GiB", "is not a size")]
    [InlineData("1e3MiB", "unknown unit")]
    [InlineData("101%", "is not a percentage from 0% to 100%")]
    [InlineData("-1%", "is not a percentage")]
    [InlineData("%", "is not a percentage")]
    [InlineData("99999999TiB", "must be from 0KiB to 4096TiB")]
    [InlineData("4096.001TiB", "must be from 0KiB to 4096TiB")]
    [InlineData("10000000TiB", "must be from 0KiB to 4096TiB")]
    public void What_is_not_a_size_is_refused_with_what_would_be_right(string text, string expected)
    {
        Assert.False(SizeSpec.TryParse(text, out SizeSpec size, out string? error));
        Assert.Contains(expected, error, StringComparison.Ordinal);
        Assert.Equal(SizeSpec.Unset, size);
        Assert.Equal(error, Assert.Throws<FormatException>(() => SizeSpec.Parse(text)).Message);
    }

    [Fact]
    public void A_refused_text_of_any_length_makes_a_short_message()
    {
        Assert.False(SizeSpec.TryParse(new string('9', 100_000), out _, out string? error));
        Assert.InRange(error.Length, 1, 200);
    }

    [Theory]
    [InlineData("512MiB")]
    [InlineData("1.5KiB")]
    [InlineData("12.5%")]
    [InlineData("auto")]
    [InlineData("1536MiB")]
    public void A_size_is_written_as_it_is_read(string text) => Assert.Equal(text, SizeSpec.Parse(text).ToString());

    [Theory]
    [InlineData("200MiB/s", 200ul << 20)]
    [InlineData("1 GiB/s", 1ul << 30)]
    public void Rates_are_sizes_a_second(string text, ulong bytesPerSecond) =>
        Assert.Equal(bytesPerSecond, ByteRate.Parse(text).BytesPerSecond);

    [Theory]
    [InlineData("200MiB", "is not a rate: write a size a second, such as 200MiB/s")]
    [InlineData("200/s", "has no unit")]
    [InlineData("25%/s", "has an unknown unit '%'")]
    [InlineData("0MiB/s", "must be from 1KiB/s to 4096TiB/s")]
    public void What_is_not_a_rate_is_refused_with_what_would_be_right(string text, string expected)
    {
        Assert.False(ByteRate.TryParse(text, out _, out string? error));
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }
}
