// SPDX-License-Identifier: Apache-2.0
using VirtTier.Linux;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Processes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Fakes;

/// <summary>A folio of the model: what the kernel moves as one.</summary>
internal sealed class ModelFolio
{
    public int Node { get; set; }

    public int Pages { get; init; } = 1;

    /// <summary>Migration fails this many times more; -1 for ever (a long-term pin).</summary>
    public int FailMigrations { get; set; }

    /// <summary>Isolation fails this many times more, which gives the status -EBUSY.</summary>
    public int FailIsolations { get; set; }

    public bool IsShared { get; set; }

    public bool IsHugetlb { get; init; }

    public ulong HeadAddress { get; set; }
}

/// <summary>
/// move_pages(2) as do_pages_move() of Linux 6.1 does it, oddities included: chunks, statuses not written, positive results,
/// -ENOMEM after part of the work, false -EBUSY within a 2 MiB page.
/// </summary>
internal sealed class ModelKernel : INumaCalls
{
    private readonly Dictionary<ulong, ModelFolio> _folios = [];
    private readonly Dictionary<ulong, int> _absent = [];

    public int[] FreePages { get; set; } = [1 << 30, 1 << 30];

    public HashSet<int> TargetNodes { get; } = [0, 1];

    public HashSet<int> CallerNodes { get; } = [0, 1];

    public bool HasSysNice { get; set; } = true;

    public bool MayTrace { get; set; } = true;

    public bool IsAlive { get; set; } = true;

    /// <summary>What the kernel answers for a process that is not alive: -EINVAL until its parent has waited for it,
    /// then -ESRCH.</summary>
    public int ErrorOfDead { get; set; } = Errno.ESRCH;

    /// <summary>Whether free memory is told as it is; else as without limit, as when others fill the node meanwhile.</summary>
    public bool TellsFree { get; set; }

    /// <summary>Called at the start of each call that moves; the time it takes goes into the clock here.</summary>
    public Action<int>? OnMove { get; set; }

    /// <summary>Addresses of each call that moves.</summary>
    public List<ulong[]> MoveCalls { get; } = [];

    public List<MoveScope> Scopes { get; } = [];

    public int QueriedPages { get; private set; }

    public ModelFolio Add(ulong address, ModelFolio folio)
    {
        folio.HeadAddress = address;
        for (int page = 0; page < folio.Pages; page++)
            _folios[address + ((ulong)page * PageSizes.PageBytes)] = folio;
        return folio;
    }

    public void AddAbsent(ulong address, int errno) => _absent[address] = -errno;

    public int NodeOf(ulong address) => _folios[address].Node;

    public int MovePages(int pid, ReadOnlySpan<ulong> addresses, int node, Span<int> status, MoveScope scope)
    {
        MoveCalls.Add(addresses.ToArray());
        Scopes.Add(scope);
        OnMove?.Invoke(addresses.Length);
        if (!IsAlive)
            return -ErrorOfDead;
        if (!MayTrace || (scope == MoveScope.Shared && !HasSysNice))
            return -Errno.EPERM;
        if (node >= FreePages.Length)
            return -Errno.ENODEV;
        if (!TargetNodes.Contains(node))
            return -Errno.EACCES;

        var queue = new List<ModelFolio>();
        int start = 0;
        for (int i = 0; i < addresses.Length; i++)
        {
            int result = Isolate(addresses[i], node, scope, queue);
            if (result == Queued)
                continue;
            status[i] = result;
            int failure = Flush(queue, node, status[start..i], addresses.Length - i);
            if (failure != 0)
                return failure > 0 ? failure - 1 : failure;
            start = i + 1;
        }

        return Flush(queue, node, status[start..], 0);
    }

    public int QueryPages(int pid, ReadOnlySpan<ulong> addresses, Span<int> status)
    {
        QueriedPages += addresses.Length;
        if (!IsAlive)
            return -ErrorOfDead;
        for (int i = 0; i < addresses.Length; i++)
            status[i] = _folios.TryGetValue(addresses[i], out ModelFolio? folio) ? folio.Node : AbsentStatus(addresses[i]);
        return 0;
    }

    public ForbiddenNode? CheckNode(int pid, int node) =>
        (pid == 0 ? CallerNodes : TargetNodes).Contains(node)
            ? null
            : new ForbiddenNode(node, [.. (pid == 0 ? CallerNodes : TargetNodes).Order()], "echo 0-1 > cpuset.mems");

    public IReadOnlyList<MemoryBinding> ReadBindings(int pid) => [];

    /// <summary>CPU time that the calls have taken so far.</summary>
    public TimeSpan CpuTime { get; set; }

    public TimeSpan ThreadTime() => CpuTime;

    public long FreeBytes(int node) => TellsFree ? (long)FreePages[node] * PageSizes.PageBytes : long.MaxValue;

    private const int Queued = int.MaxValue;

    private int AbsentStatus(ulong address) => _absent.GetValueOrDefault(address, -Errno.EFAULT);

    private int Isolate(ulong address, int node, MoveScope scope, List<ModelFolio> queue)
    {
        if (!_folios.TryGetValue(address, out ModelFolio? folio))
            return AbsentStatus(address);
        if (folio.Node == node)
            return node;
        if (folio.IsShared && scope != MoveScope.Shared)
            return -Errno.EACCES;
        if (folio.IsHugetlb && address != folio.HeadAddress)
            return -Errno.EACCES;
        if (queue.Contains(folio))
            return -Errno.EBUSY;
        if (folio.FailIsolations != 0)
        {
            folio.FailIsolations--;
            return -Errno.EBUSY;
        }

        queue.Add(folio);
        return Queued;
    }

    /// <summary>Migrates what is queued. Statuses are written only if all of it moved.</summary>
    private int Flush(List<ModelFolio> queue, int node, Span<int> status, int pagesLeft)
    {
        int failed = 0;
        foreach (ModelFolio folio in queue)
        {
            if (!CallerNodes.Contains(node) || FreePages[node] < folio.Pages)
            {
                queue.Clear();
                return -Errno.ENOMEM;
            }

            if (folio.FailMigrations != 0)
            {
                folio.FailMigrations--;
                failed++;
                continue;
            }

            FreePages[folio.Node] += folio.Pages;
            FreePages[node] -= folio.Pages;
            folio.Node = node;
        }

        queue.Clear();
        if (failed > 0)
            return failed + pagesLeft;
        status.Fill(node);
        return 0;
    }
}
