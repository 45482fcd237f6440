// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Systemd;

namespace VirtTier.Agent.Tests;

public sealed class ServiceDirectoryTests
{
    [Theory]
    [InlineData("/run/virttier", "/run/virttier")]
    [InlineData("/run/virttier:/run/other", "/run/virttier")]
    [InlineData(null, "/run/usual")]
    [InlineData("", "/run/usual")]
    [InlineData(":", "/run/usual")]
    [InlineData("virttier", "/run/usual")]
    [InlineData("../virttier:/run/virttier", "/run/virttier")]
    public void It_is_the_first_absolute_one_of_those_that_are_named(string? named, string expected) =>
        Assert.Equal(expected, ServiceDirectory.First(named, "/run/usual"));
}
