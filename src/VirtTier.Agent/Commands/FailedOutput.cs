// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary>What is said of an error that no command has foreseen. Most of these are of the output: a full disk, a closed
/// stream.</summary>
internal static class FailedOutput
{
    /// <summary>Says it on standard error, if that can be written to.</summary>
    public static void Tell(Exception e)
    {
        try
        {
            Console.Error.WriteLine(e is IOException or UnauthorizedAccessException
                ? $"virttier: the output cannot be written: {Shorten.Sentence((e.InnerException ?? e).Message)}"
                : $"virttier: this should not happen, please report it: {e}");
        }
        catch (Exception again) when (again is IOException or UnauthorizedAccessException)
        {
            // Nobody is left to be told.
        }
    }
}
