// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Memory.Numa;
using VirtTier.Primitives;

namespace VirtTier.Memory.Processes;

/// <summary>Which memory of a process is bound strictly to nodes, as the kernel has it: /proc/PID/numa_maps.</summary>
/// <remarks>
/// <para>A line is one mapping: <c>7f00a0000000 bind:0 anon=512 N0=512 kernelpagesize_kB=4</c>. Its second word is the policy:
/// <c>bind:0-1</c>, <c>bind=static:1</c> and <c>bind=relative:0</c> are strict; <c>default</c>, <c>local</c>, <c>prefer:1</c>,
/// <c>prefer (many):0-1</c>, <c>interleave:0-1</c> and <c>weighted interleave:0-1</c> are wishes,
/// which bind nothing that is there already.</para>
/// <para>A mapping without a policy of its own shows the one of the process (set_mempolicy), which holds for it too.</para>
/// <para>The kernel counts each page of each mapping to write the file, so it is to be read rarely.</para>
/// </remarks>
internal static class NumaMaps
{
    // vm.max_map_count is 65,530 unless raised. What lies beyond cannot be told to be free, so it is not passed over.
    private const int MostMappings = 1 << 20;

    /// <summary>The bound memory of a process, in order of address; mappings that lie one after the other
    /// under one policy are one.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, may not be looked at,
    /// or the file makes no sense.</exception>
    public static IReadOnlyList<MemoryBinding> Read(int pid, string procfs = "/proc")
    {
        string directory = Path.Combine(procfs, pid.ToString(CultureInfo.InvariantCulture));
        string file = Path.Combine(directory, "numa_maps");
        try
        {
            using StreamReader reader = File.OpenText(file);
            return Parse(reader);
        }
        catch (FormatException e)
        {
            throw new GuestMemoryException(GuestMemoryError.Failed, $"cannot read {file}: {e.Message}");
        }
        catch (UnauthorizedAccessException)
        {
            throw new GuestMemoryException(
                GuestMemoryError.NoPermission,
                $"no right to see how the memory of process {pid} is bound ({file}): the agent needs CAP_SYS_PTRACE");
        }
        catch (IOException) when (File.Exists(Path.Combine(directory, "stat")) && !File.Exists(file))
        {
            return []; // a kernel without NUMA
        }
        catch (IOException)
        {
            throw new GuestMemoryException(GuestMemoryError.ProcessGone, $"process {pid} has ended");
        }
    }

    /// <summary>Reads the text of such a file.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static IReadOnlyList<MemoryBinding> Parse(TextReader text)
    {
        List<MemoryBinding> bound = [];
        (ulong Start, string? Policy) open = (0, null);
        ulong last = 0;
        int count = 0;
        while (text.ReadLine() is { } line)
        {
            if (line.Length == 0)
                continue;
            if (++count > MostMappings)
                throw new FormatException($"more than {MostMappings} mappings");
            string[] words = line.Split(' ', 3, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length < 2
                || !ulong.TryParse(words[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong start))
                throw new FormatException($"'{Shorten.ForMessage(line)}' has no address and policy");
            if (count > 1 && start <= last)
                throw new FormatException($"'{Shorten.ForMessage(line)}' does not lie behind the mapping before it");
            last = start;
            string? policy = words[1].StartsWith("bind", StringComparison.Ordinal) ? words[1] : null;
            if (policy == open.Policy)
                continue;
            Close(start);
            open = (start, policy);
        }
        Close(ulong.MaxValue);
        return bound;

        void Close(ulong end)
        {
            if (open.Policy is not null)
                bound.Add(new MemoryBinding(open.Start, end, NodesOf(open.Policy)));
        }
    }

    private static IReadOnlyList<int> NodesOf(string policy)
    {
        int colon = policy.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && (policy[..colon] == "bind" || policy.StartsWith("bind=", StringComparison.Ordinal))
            && NodeList.Parse(policy[(colon + 1)..]) is { Count: > 0 } nodes
            ? nodes
            : throw new FormatException($"'{Shorten.ForMessage(policy)}' is a policy of no kernel that is known");
    }
}
