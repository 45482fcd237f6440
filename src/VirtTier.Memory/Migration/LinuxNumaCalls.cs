// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using VirtTier.Linux;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;

namespace VirtTier.Memory.Migration;

/// <summary>The running kernel.</summary>
public sealed class LinuxNumaCalls : INumaCalls
{
    private readonly NodeRoom _room = new("/sys", "/proc", TimeProvider.System);

    /// <inheritdoc/>
    public int MovePages(int pid, ReadOnlySpan<ulong> addresses, int node, Span<int> status, MoveScope scope)
    {
        CheckLengths(addresses, status);
        int[] nodes = ArrayPool<int>.Shared.Rent(addresses.Length);
        try
        {
            Span<int> same = nodes.AsSpan(0, addresses.Length);
            same.Fill(node);
            return Libc.MovePages(pid, addresses, same, status, (int)scope);
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
        return Libc.MovePages(pid, addresses, [], status, 0);
    }

    /// <inheritdoc/>
    public ForbiddenNode? CheckNode(int pid, int node) => NodePreflight.Check(pid == 0 ? Environment.ProcessId : pid, node);

    /// <inheritdoc/>
    public IReadOnlyList<MemoryBinding> ReadBindings(int pid) => NumaMaps.Read(pid);

    /// <inheritdoc/>
    public long FreeBytes(int node) => _room.ReadBytes(node);

    /// <inheritdoc/>
    public TimeSpan ThreadTime() => Libc.ThreadCpuTime();

    private static void CheckLengths(ReadOnlySpan<ulong> addresses, Span<int> status)
    {
        if (status.Length != addresses.Length)
            throw new ArgumentException(
                $"{status.Length} statuses for {addresses.Length} addresses: there must be one for each", nameof(status));
    }
}
