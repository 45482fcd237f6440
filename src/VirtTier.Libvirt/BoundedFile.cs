// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Microsoft.Win32.SafeHandles;
using VirtTier.Linux;
using static Tmds.Linux.LibC;

namespace VirtTier.Libvirt;

/// <summary>Reads files whose length somebody else decides, or the kernel,
/// which tells none: never more than is asked for.</summary>
public static class BoundedFile
{
    /// <summary>The text of a file.</summary>
    /// <exception cref="IOException">There is none, it cannot be read, or is longer.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    public static string ReadText(string path, int mostBytes)
    {
        using StreamReader reader = new(new MemoryStream(ReadBytes(path, mostBytes)), Encoding.UTF8);
        return reader.ReadToEnd();
    }

    /// <summary>The bytes of a file.</summary>
    /// <exception cref="IOException">There is none, it cannot be read, or is longer.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    public static byte[] ReadBytes(string path, int mostBytes)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1);
        return ReadBytes(file, path, mostBytes);
    }

    /// <summary>The bytes of a file that is itself one: a symbolic link is refused, and what is none, such as a pipe, is
    /// empty.</summary>
    /// <exception cref="IOException">There is none, it is a link, cannot be read, or is longer.</exception>
    public static byte[] ReadBytesOfNoLink(string path, int mostBytes)
    {
        SafeFileHandle handle = Libc.Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, out int errno);
        if (errno != 0)
        {
            handle.Dispose();
            throw errno == Errno.ENOENT
                ? new FileNotFoundException($"there is no {path}")
                : new IOException($"{path} cannot be opened ({Errno.Describe(errno)})");
        }

        using FileStream file = new(handle, FileAccess.Read, 1);
        return ReadBytes(file, path, mostBytes);
    }

    private static byte[] ReadBytes(FileStream file, string path, int mostBytes)
    {
        using MemoryStream read = new();
        byte[] part = new byte[1 << 14];
        for (int count; (count = file.Read(part)) > 0;)
        {
            if (read.Length + count > mostBytes)
                throw new IOException($"{path} has more than {mostBytes} bytes, which is more than any of its kind has");
            read.Write(part, 0, count);
        }
        return read.ToArray();
    }
}
