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
}
