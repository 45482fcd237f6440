// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Numa;
using VirtTier.Memory.Tests.Fakes;

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
        Assert.Contains($"'{text}'", Assert.Throws<FormatException>(() => NodeList.Parse(text)).Message,
            StringComparison.Ordinal);

    [Theory]
    [InlineData("", "")]
    [InlineData("3 1 0", "0-1,3")]
    [InlineData("5 6 7 7", "5-7")]
    public void Lists_are_written(string numbers, string text) =>
        Assert.Equal(text, NodeList.Format(numbers.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)));

    [Theory]
    [InlineData("0-65536", "'0-65536' goes beyond 65535")]
    [InlineData("0-2147483647", "goes beyond 65535")]
    [InlineData("0-65535,0", "more than 65536 numbers")]
    public void Lists_of_no_host_are_refused_before_they_fill_memory(string text, string message) =>
        Assert.Contains(message, Assert.Throws<FormatException>(() => NodeList.Parse(text)).Message, StringComparison.Ordinal);

    /// <summary>A list that is read is written so that it is read alike; anything else is refused, in a short line.</summary>
    [Fact]
    public void Damaged_lists_are_read_alike_twice_or_refused()
    {
        Random random = new(7);
        (int read, int refused) = (0, 0);
        for (int round = 0; round < 20_000; round++)
        {
            string text = Mutation.Of(random, "0-3,8,10-11,63-127,255\n");
            try
            {
                IReadOnlyList<int> numbers = NodeList.Parse(text);
                read++;
                Assert.Equal(numbers.Distinct().Order(), NodeList.Parse(NodeList.Format(numbers)));
                Assert.All(numbers, number => Assert.InRange(number, 0, NodeList.Highest));
            }
            catch (FormatException e)
            {
                refused++;
                Assert.InRange(e.Message.Length, 10, 150);
                Assert.DoesNotContain(e.Message, char.IsControl);
            }
        }
        Assert.True(read > 1000 && refused > 1000, $"{read} read and {refused} refused: the damage shows too little");
    }
}
