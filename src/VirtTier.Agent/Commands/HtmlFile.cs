// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Commands;

/// <summary>What <c>--html FILE</c> writes.</summary>
internal static class HtmlFile
{
    /// <summary>Writes a page, or says why it cannot be written.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> WriteAsync(FileInfo file, string page, CancellationToken cancel)
    {
        try
        {
            await File.WriteAllTextAsync(file.FullName, page, cancel);
            return ExitCode.Success;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return await SetCommand.FailAsync($"--html: {file.FullName} cannot be written: {e.Message}", ExitCode.BadInput);
        }
    }
}
