// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.TestSupport;

/// <summary>Skips, loudly, what this machine cannot run.</summary>
internal static class HostRing
{
    /// <summary>The collection of the tests with daemons. xunit wants it defined in each test project.</summary>
    internal const string Name = "host ring";

    private static readonly string[] s_searchPath = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

    internal static void RequirePrograms(params string[] programs)
    {
        string[] missing = [.. programs.Where(program => !s_searchPath.Any(d => File.Exists(Path.Combine(d, program))))];
        Assert.SkipWhen(missing.Length > 0, $"not installed: {string.Join(", ", missing)}");
    }

    internal static void RequireRoot() =>
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root: it makes mount namespaces and starts daemons");
}
