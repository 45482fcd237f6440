// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using VirtTier.Memory.Linux;

namespace VirtTier.Memory.Migration;

/// <summary>The running kernel.</summary>
public sealed unsafe class LinuxNumaCalls : INumaCalls
{
    private readonly NodeRoom _room = new("/sys", "/proc", TimeProvider.System);

    /// <inheritdoc/>
    public int MovePages(int pid, ReadOnlySpan<ulong> addresses, int node, Span<int> status, MoveScope scope)
    {
        CheckLengths(addresses, status);
        int[] nodes = ArrayPool<int>.Shared.Rent(addresses.Length);
        try
        {
            nodes.AsSpan(0, addresses.Length).Fill(node);
            fixed (int* firstNode = nodes)
            {
                return Call(pid, addresses, firstNode, status, (int)scope);
            }
        }
        finally
        {
            ArrayPool<int>.Shared.Return(nodes);
        }
    }

    /// <inheritdoc/>
    public int QueryPages(int pid, ReadOnlySpan<ulong> addresses, Span<int> status)
    {
        CheckLengths(addresses, status);
        return Call(pid, addresses, null, status, 0);
    }

    /// <inheritdoc/>
    public ForbiddenNode? CheckNode(int pid, int node) => NodePreflight.Check(pid == 0 ? Environment.ProcessId : pid, node);

    /// <inheritdoc/>
    public IReadOnlyList<MemoryBinding> ReadBindings(int pid) => NumaMaps.Read(pid);

    /// <inheritdoc/>
    public long FreeBytes(int node) => _room.ReadBytes(node);

    /// <inheritdoc/>
    public TimeSpan ThreadTime() => Libc.clock_gettime(Libc.CLOCK_THREAD_CPUTIME_ID, out Libc.Timespec time) == 0
        ? TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromTicks(time.Nanoseconds / TimeSpan.NanosecondsPerTick)
        : throw new GuestMemoryException(GuestMemoryError.Failed, $"clock_gettime failed ({Errno.Describe(Libc.errno())})");

    private static int Call(int pid, ReadOnlySpan<ulong> addresses, int* nodes, Span<int> status, int flags)
    {
        fixed (ulong* address = addresses)
        fixed (int* firstStatus = status)
        {
            nint result = Libc.move_pages(pid, (nuint)addresses.Length, address, nodes, firstStatus, flags);
            return result < 0 ? -Libc.errno() : (int)result;
        }
    }

    private static void CheckLengths(ReadOnlySpan<ulong> addresses, Span<int> status)
    {
        if (status.Length != addresses.Length)
            throw new ArgumentException($"{status.Length} statuses for {addresses.Length} addresses: there must be one for each", nameof(status));
    }
}
