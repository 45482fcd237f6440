// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Microsoft.Win32.SafeHandles;
using VirtTier.Linux;
using static Tmds.Linux.LibC;

namespace VirtTier.Libvirt;

/// <summary>
/// Reads files that somebody else has put where they are, or whose length the kernel does not tell: never more than is asked for,
/// and nothing that is no file, which could make whoever opens it wait for ever.
/// </summary>
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
        using SafeFileHandle file = Open(path);
        return ReadBytes(file, path, mostBytes);
    }

    /// <summary>The bytes of a file that is itself one: a symbolic link is refused.</summary>
    /// <exception cref="IOException">There is none, it is a link, cannot be read, or is longer.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    internal static byte[] ReadBytesOfNoLink(string path, int mostBytes)
    {
        using SafeFileHandle file = OpenNoLink(path);
        return ReadBytes(file, path, mostBytes);
    }

    /// <summary>The bytes of an open file, from where it stands.</summary>
    /// <exception cref="IOException">It cannot be read, or is longer.</exception>
    public static byte[] ReadBytes(SafeFileHandle file, string path, int mostBytes)
    {
        // What the kernel makes has a length of 0, and is as long as it turns out to be.
        if (RandomAccess.GetLength(file) > mostBytes)
            throw TooLong(path, mostBytes);
        using MemoryStream read = new();
        byte[] part = new byte[1 << 14];
        for (int count; (count = Libc.Read(file, part)) != 0;)
        {
            if (count < 0)
                throw new IOException($"{path} cannot be read ({Errno.Describe(-count)})");
            if (read.Length + count > mostBytes)
                throw TooLong(path, mostBytes);
            read.Write(part, 0, count);
        }
        return read.ToArray();
    }

    private static IOException TooLong(string path, int mostBytes) =>
        new($"{path} has more than {mostBytes} bytes, which is more than any of its kind has");

    /// <summary>Opens a file for reading that is itself one: a symbolic link is refused.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="IOException">It cannot be opened, or is a link, a directory, a device, a pipe or a socket.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be opened.</exception>
    public static SafeFileHandle OpenNoLink(string path) => Open(path, O_NOFOLLOW);

    /// <summary>Opens a file for reading.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="IOException">It cannot be opened, or is a directory, a device, a pipe or a socket.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be opened.</exception>
    internal static SafeFileHandle Open(string path) => Open(path, 0);

    private static SafeFileHandle Open(string path, int flags)
    {
        // A pipe that nobody writes into, or a device, would otherwise be waited for here.
        SafeFileHandle file = Libc.Open(path, flags | O_RDONLY | O_NONBLOCK | O_NOCTTY, out int errno);
        if (errno == 0 && Libc.IsRegular(file))
            return file;
        file.Dispose();
        throw errno switch
        {
            0 => new IOException($"{path} is no file but a directory, a device or a pipe"),
            Errno.ENOENT or Errno.ENOTDIR => new FileNotFoundException($"there is no {path}", path),
            Errno.EACCES or Errno.EPERM => new UnauthorizedAccessException($"no right to read {path}"),
            _ => new IOException($"{path} cannot be opened ({Errno.Describe(errno)})"),
        };
    }
}
