// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Testbed;

/// <summary>How a command in the emulated host ended.</summary>
/// <param name="ExitCode">Its exit code; 124 when it ran into its time limit, 125 when the host is gone.</param>
/// <param name="Output">What it wrote to standard output.</param>
/// <param name="Error">What it, and the test bed, wrote to standard error.</param>
public sealed record CommandResult(int ExitCode, string Output, string Error)
{
    /// <summary>The output of a command that must have succeeded.</summary>
    /// <exception cref="TestbedException">It did not.</exception>
    public string RequireSuccess() =>
        ExitCode == 0 ? Output : throw new TestbedException($"exit code {ExitCode}: {Error.Trim()} {Output.Trim()}");
}

/// <summary>Something in the test bed did not work; the message has the script's own words.</summary>
public sealed class TestbedException : Exception
{
    /// <summary>With a message.</summary>
    public TestbedException(string message) : base(message)
    {
    }

    /// <summary>With a message and its cause.</summary>
    public TestbedException(string message, Exception innerException) : base(message, innerException)
    {
    }

    /// <summary>Without a message.</summary>
    public TestbedException()
    {
    }
}
