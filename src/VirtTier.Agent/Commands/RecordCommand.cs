// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Globalization;
using System.IO.Compression;
using System.Numerics;
using VirtTier.Libvirt.Processes;
using VirtTier.Memory;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;
using VirtTier.Replay.Traces;

namespace VirtTier.Agent.Commands;

/// <summary>
/// <c>virttier record</c>: harvests of a live guest as a trace for <c>virttier replay</c>. It talks to the kernel module; the
/// agent need not run, and must not sample the same guest.
/// </summary>
internal static class RecordCommand
{
    public static Command Create()
    {
        Argument<string> guest = new("guest")
        {
            Description = "Name of a running domain, or pid of a process that runs a KVM guest",
        };
        Argument<string> file = new("file")
        {
            Description = "Trace to write, in replay's binary form; packed if its name ends with .gz",
        };
        Option<double> interval = NumberOption.Number(
            "--interval", "Milliseconds from one harvest to the next", Limits.RecordInterval, 250);
        Option<double> duration = NumberOption.Number(
            "--duration", "Seconds to record; Ctrl-C or the guest's end ends it sooner", Limits.RecordDuration,
            (double)Limits.RecordDuration.Highest);
        Command command = new("record", "Record which pages a guest accesses, as a trace for replay")
        {
            guest, file, interval, duration,
        };
        command.SetAction((result, cancel) => RunAsync(
            result.GetRequiredValue(guest), result.GetRequiredValue(file),
            TimeSpan.FromMilliseconds(result.GetValue(interval)), TimeSpan.FromSeconds(result.GetValue(duration)), cancel));
        return command;
    }

    private static async Task<int> RunAsync(
        string guest, string path, TimeSpan interval, TimeSpan duration, CancellationToken cancel)
    {
        try
        {
            using LinuxProcesses processes = new();
            using IGuestSampler sampler = new KvmSamplerFactory().Attach(SampleCommand.FindPid(guest, processes.FindLockHolder));
            await using FileStream file = new(path, FileMode.CreateNew);
            await using Stream packed = path.EndsWith(".gz", StringComparison.Ordinal)
                ? new GZipStream(file, CompressionLevel.Optimal)
                : new BufferedStream(file);
            (int harvests, long accesses) = await RecordAsync(sampler, packed, interval, duration, TimeProvider.System, cancel);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{accesses} accesses in {harvests} harvests"));
            return ExitCode.Success;
        }
        catch (GuestMemoryException e)
        {
            string hint = e.Kind == GuestMemoryError.AlreadySampled
                ? "; if it is the agent, let it go with: virttier set DOMAIN --mode off"
                : "";
            await Console.Error.WriteLineAsync($"virttier: {e.Message}{hint}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"virttier: {path}: {e.Message}");
        }
        return ExitCode.BadInput;
    }

    /// <summary>
    /// Writes an access for each page of each harvest, at the time of the harvest. A harvest tells that a page was accessed, not
    /// how: all count as reads.
    /// </summary>
    /// <returns>How many harvests and accesses were recorded, when the time is over,
    /// the guest ends or <paramref name="cancel"/> is set.</returns>
    internal static async Task<(int Harvests, long Accesses)> RecordAsync(
        IGuestSampler sampler, Stream output, TimeSpan interval, TimeSpan duration, TimeProvider time, CancellationToken cancel)
    {
        TraceWriter writer = new(output);
        GuestHarvester guest = new(sampler, time);
        int harvests = 0;
        long accesses = 0;
        long start = time.GetTimestamp();
        using PeriodicTimer timer = new(interval, time);
        try
        {
            // What was accessed before the recording began is no part of it.
            guest.Harvest();
            while (time.GetElapsedTime(start) < duration && await timer.WaitForNextTickAsync(cancel))
            {
                if (!guest.Harvest())
                    continue;
                accesses += Write(writer, guest, (long)time.GetElapsedTime(start).TotalNanoseconds);
                harvests++;
            }
        }
        catch (OperationCanceledException)
        {
            // Ctrl-C: what was recorded until now is whole.
        }
        catch (GuestMemoryException e) when (e.Kind == GuestMemoryError.ProcessGone && harvests > 0)
        {
            // The guest's end is the recording's.
        }
        return (harvests, accesses);
    }

    private static long Write(TraceWriter writer, GuestHarvester guest, long timeNs)
    {
        long accesses = 0;
        foreach (GfnRange range in guest.Layout.GfnRanges)
        {
            for (int word = range.FirstIndex / 64; word < range.EndIndex / 64; word++)
            {
                for (ulong bits = guest.Buffers.Accessed[word]; bits != 0; bits &= bits - 1)
                {
                    int index = (word * 64) + BitOperations.TrailingZeroCount(bits);
                    writer.Write(new TraceAccess(timeNs, range.FirstGfn + (ulong)(index - range.FirstIndex), AccessKind.Read));
                    accesses++;
                }
            }
        }
        return accesses;
    }
}
