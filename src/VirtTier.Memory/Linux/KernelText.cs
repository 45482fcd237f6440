// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Microsoft.Win32.SafeHandles;
using VirtTier.Memory.Numa;

namespace VirtTier.Memory.Linux;

/// <summary>Small text files of sysfs and procfs. What cannot be read is said in a sentence that names the file.</summary>
internal static class KernelText
{
    // sysfs gives a page at most. A list of 65,536 numbers, each by itself, has some 400 kB: no host has that.
    private const int LongestFile = 1 << 16;
    private const int UsualFile = 1 << 11;

    /// <summary>The text of a file; null if there is none.</summary>
    /// <exception cref="GuestMemoryException">It may not be read, or is far longer than any file of its kind.</exception>
    public static string? ReadIfPresent(string file)
    {
        try
        {
            using SafeFileHandle handle = File.OpenHandle(file);
            byte[] bytes = new byte[UsualFile]; // read for each guest in each round
            int count = 0;
            for (int read = -1; read != 0 && count < bytes.Length; count += read)
            {
                read = RandomAccess.Read(handle, bytes.AsSpan(count), count);
                if (count + read == bytes.Length && bytes.Length < LongestFile)
                    Array.Resize(ref bytes, bytes.Length * 2);
            }
            return count < bytes.Length
                ? Encoding.UTF8.GetString(bytes, 0, count)
                : throw Failure(file, $"it has more than {LongestFile - 1} bytes");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (UnauthorizedAccessException)
        {
            throw new GuestMemoryException(
                GuestMemoryError.NoPermission, $"cannot read {file}: no right to, or it is a directory");
        }
        catch (IOException e)
        {
            throw Failure(file, e.Message);
        }
    }

    /// <summary>A list of numbers in a file; null if there is no such file.</summary>
    /// <exception cref="GuestMemoryException">It cannot be read, or has something else in it.</exception>
    public static IReadOnlyList<int>? ReadListIfPresent(string file)
    {
        if (ReadIfPresent(file) is not { } text)
            return null;
        try
        {
            return NodeList.Parse(text);
        }
        catch (FormatException e)
        {
            throw Failure(file, e.Message);
        }
    }

    private static GuestMemoryException Failure(string file, string why) =>
        new(GuestMemoryError.Failed, $"cannot read {file}: {why}");
}
