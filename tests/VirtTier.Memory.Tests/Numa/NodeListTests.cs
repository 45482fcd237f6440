// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Tests.Numa;

public sealed class NodeListTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("0\n", "0")]
    [InlineData("0-3,8,10-11\n", "0 1 2 3 8 10 11")]
    public void Lists_are_read(string text, string numbers) => Assert.Equal(numbers, string.Join(' ', NodeList.Parse(text)));

    [Theory]
    [InlineData("a")]
    [InlineData("3-1")]
    [InlineData("1-2-3")]
    [InlineData("-1")]
    public void Anything_else_is_refused_by_name(string text) =>
        Assert.Contains($"'{text}'", Assert.Throws<FormatException>(() => NodeList.Parse(text)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("", "")]
    [InlineData("3 1 0", "0-1,3")]
    [InlineData("5 6 7 7", "5-7")]
    public void Lists_are_written(string numbers, string text) =>
        Assert.Equal(text, NodeList.Format(numbers.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)));
}
