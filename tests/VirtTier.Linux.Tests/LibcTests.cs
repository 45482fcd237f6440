// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace VirtTier.Linux.Tests;

public sealed unsafe class LibcTests : IDisposable
{
    private const int NoDirectory = 21, NoTerminal = 25;
    private const string Text = "what was written";

    private readonly string _path = Path.GetTempFileName();
    private readonly SafeFileHandle _file;

    public LibcTests()
    {
        File.WriteAllText(_path, Text);
        _file = Libc.Open(_path, O_RDONLY, out int errno);
        Assert.Equal(0, errno);
    }

    public void Dispose()
    {
        _file.Dispose();
        File.Delete(_path);
    }

    [Fact]
    public void The_numbers_of_errors_are_those_of_the_library()
    {
        FieldInfo[] numbers = [.. typeof(Errno).GetFields()];
        Assert.NotEmpty(numbers);
        Assert.All(numbers, n => Assert.Equal(typeof(LibC).GetProperty(n.Name)!.GetValue(null), n.GetRawConstantValue()));
    }

    [Fact]
    public void Reading_goes_on_where_it_was_and_an_offset_changes_nothing()
    {
        byte[] buffer = new byte[5];
        Assert.Equal(5, Libc.Read(_file, buffer));
        Assert.Equal(5, Libc.Pread(_file, buffer, 9));
        Assert.Equal("writt", Encoding.UTF8.GetString(buffer));
        Assert.Equal(5, Libc.Read(_file, buffer));
        Assert.Equal("was w", Encoding.UTF8.GetString(buffer));
        Assert.Equal(0, Libc.Pread(_file, buffer, Text.Length));
    }

    [Fact]
    public void A_program_that_is_started_does_not_inherit_the_file() =>
        Assert.Contains($"flags:\t0{Convert.ToString(O_CLOEXEC | 0x8000, 8)}",
            File.ReadAllText($"/proc/self/fdinfo/{_file.DangerousGetHandle()}"));

    [Fact]
    public void Each_call_tells_its_own_error()
    {
        using SafeFileHandle none = Libc.Open(_path + ".none", O_RDONLY, out int errno);
        Assert.True(none.IsInvalid);
        Assert.Equal(Errno.ENOENT, errno);
        using SafeFileHandle directory = Libc.Open("/", O_RDONLY, out _);
        Assert.Equal(-NoDirectory, Libc.Read(directory, new byte[1]));
        Assert.Equal(-Errno.EINVAL, Libc.Pread(_file, new byte[1], -1));
        Assert.Equal(-NoTerminal, Libc.Ioctl(_file, 0x5401, 0));
        Assert.Equal(-Errno.EINVAL, Libc.PidfdOpen(-1));
        Assert.Equal(-Errno.ESRCH, Libc.PidfdOpen(int.MaxValue));
        Assert.Equal(-Errno.EFAULT, Libc.Poll(new Span<pollfd>((void*)8, 1), 0));
        Assert.Equal(-Errno.ESRCH, Libc.MovePages(int.MaxValue, [0], [], new int[1], 0));
    }

    [Fact]
    public void A_closed_file_is_no_other()
    {
        _file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => Libc.Read(_file, new byte[1]));
    }

    [Fact]
    public void An_event_descriptor_is_readable_from_signal_to_clear()
    {
        int fd = Libc.EventFd();
        using SafeFileHandle wake = new(fd, ownsHandle: true);
        Assert.Equal(0, Libc.PollReadable(wake, 0));
        Libc.SignalEventFd(fd);
        Libc.SignalEventFd(fd);
        Assert.Equal(1, Libc.PollReadable(wake, 0));
        Libc.ClearEventFd(fd);
        Libc.ClearEventFd(fd); // one that is clear does not block
        Assert.Equal(0, Libc.PollReadable(wake, 0));
    }

    [Fact]
    public void Poll_tells_which_of_several_is_readable()
    {
        int idle = Libc.EventFd(), woken = Libc.EventFd();
        Libc.SignalEventFd(woken);
        pollfd[] fds = [.. new[] { idle, woken }.Select(fd => new pollfd { fd = fd, events = POLLIN })];
        Assert.Equal(1, Libc.Poll(fds, 0));
        Assert.Equal([0, POLLIN], fds.Select(fd => fd.revents));
        Libc.Close(idle);
        Libc.Close(woken);
    }

    [Fact]
    public void The_time_of_a_thread_is_the_time_that_it_worked()
    {
        TimeSpan before = Libc.ThreadCpuTime();
        Thread.Sleep(50);
        TimeSpan rested = Libc.ThreadCpuTime() - before;
        Assert.InRange(rested, TimeSpan.Zero, TimeSpan.FromMilliseconds(49));
        while (Libc.ThreadCpuTime() - before < rested + TimeSpan.FromMilliseconds(5)) // ends only if it passes
            Thread.SpinWait(1000);
    }

    [Fact]
    public void No_call_on_the_way_of_a_page_allocates()
    {
        byte[] buffer = new byte[8];
        ulong[] addresses = [0];
        int[] nodes = [0], status = [0];
        Calls(10);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Calls(100);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Calls(int times)
        {
            for (int i = 0; i < times; i++)
            {
                _ = Libc.Read(_file, buffer) + Libc.Pread(_file, buffer, 0) + Libc.Ioctl(_file, 0x5401, 0);
                _ = Libc.PollReadable(_file, 0) + Libc.MovePages(0, addresses, nodes, status, 0)
                    + Libc.MovePages(0, addresses, [], status, 0);
                _ = Libc.ThreadCpuTime();
            }
        }
    }
}
