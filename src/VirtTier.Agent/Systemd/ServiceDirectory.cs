// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Systemd;

/// <summary>The directories that systemd makes for a service and names in its environment; see systemd.exec(5).</summary>
internal static class ServiceDirectory
{
    /// <summary>The first that a variable names, or another where it names none: systemd puts a colon between several, and in
    /// an empty one, or one that is not absolute, the files would be wherever the agent was started.</summary>
    /// <param name="variable">RUNTIME_DIRECTORY or STATE_DIRECTORY.</param>
    /// <param name="otherwise">What it is then.</param>
    public static string Of(string variable, string otherwise) => First(Environment.GetEnvironmentVariable(variable), otherwise);

    /// <summary>The unit's <c>StateDirectory=</c>: files that outlive the agent.</summary>
    public static string State => Of("STATE_DIRECTORY", "/var/lib/virttier");

    internal static string First(string? named, string otherwise) =>
        named?.Split(':').FirstOrDefault(path => path.StartsWith('/')) ?? otherwise;
}
