// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.Libvirt.Tests.Unit;

public sealed class SignatureTests
{
    [Theory]
    [InlineData("s", 0, "s")]
    [InlineData("ua{sv}s", 1, "a{sv}")]
    [InlineData("aa(sa{sv})i", 0, "aa(sa{sv})")]
    [InlineData("(i(uu)t)as", 8, "as")]
    public void A_complete_type_is_found(string signature, int start, string expected) =>
        Assert.Equal(expected, Signature.TypeAt(signature, start));

    [Theory]
    [InlineData("a")]
    [InlineData("(ii")]
    [InlineData("a{s")]
    public void An_unfinished_type_is_refused(string signature) =>
        Assert.Throws<ArgumentException>(() => Signature.TypeAt(signature, 0));

    [Theory]
    [InlineData("")]
    [InlineData("ybnqiuxtdsogh")]
    [InlineData("a{sv}aa(ia{ou})v")]
    public void What_the_bus_takes_is_valid(string signature) => Assert.True(Signature.IsValid(signature));

    [Theory]
    [InlineData("z")]
    [InlineData("a")]
    [InlineData("()")]
    [InlineData("(i}")]
    [InlineData("i)")]
    [InlineData("{sv}")]
    [InlineData("a{vs}")]
    [InlineData("a{s}")]
    [InlineData("a{sss}")]
    [InlineData("a(z)")]
    public void What_the_bus_does_not_take_is_not(string signature) => Assert.False(Signature.IsValid(signature));

    [Theory]
    [InlineData(32, true)]
    [InlineData(33, false)]
    public void Signatures_are_no_deeper_than_the_bus_takes(int depth, bool valid)
    {
        Assert.Equal(valid, Signature.IsValid(new string('a', depth) + "i"));
        Assert.Equal(valid, Signature.IsValid(new string('(', depth) + "i" + new string(')', depth)));
    }

    [Theory]
    [InlineData(255, true)]
    [InlineData(256, false)]
    public void Signatures_are_no_longer_than_the_bus_takes(int length, bool valid) =>
        Assert.Equal(valid, Signature.IsValid(new string('i', length)));
}
