// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using VirtTier.Libvirt.Processes;
using VirtTier.Memory;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier sample</c>: accesses of a guest as they are sampled. It talks to the kernel module;
/// the agent need not run.</summary>
internal static class SampleCommand
{
    /// <summary>Where libvirt's QEMU driver keeps the pid files of its domains.</summary>
    internal const string RunDirectory = "/run/libvirt/qemu";

    /// <summary>How soon Ctrl-C is seen.</summary>
    private static readonly TimeSpan s_wait = TimeSpan.FromMilliseconds(200);

    public static Command Create()
    {
        Argument<string> guest = new("guest")
        {
            Description = "Name of a running domain, or pid of a process that runs a KVM guest",
        };
        Option<int> rate = NumberOption.Whole("--rate", "Samples a second", Limits.SampleRate, 100);
        Option<AccessKinds> kinds = new("--kinds")
        {
            Description = "Kinds of access: r, w, x or several of them",
            DefaultValueFactory = _ => AccessKinds.Read | AccessKinds.Write | AccessKinds.Execute,
            CustomParser = ParseKinds,
            HelpName = "kinds",
        };
        kinds.CompletionSources.Clear();
        kinds.CompletionSources.Add("r", "w", "x", "rwx");
        Option<int> count = NumberOption.Whole(
            "--count", "Samples to end after; Ctrl-C ends it sooner", Limits.SampleCount, int.MaxValue);
        Command command = new("sample", "Print accesses of a guest as they are sampled: time, guest frame, kind")
        {
            guest, rate, kinds, count,
        };
        command.SetAction((result, cancel) => Task.FromResult(Run(
            result.GetRequiredValue(guest), result.GetValue(kinds), result.GetValue(rate), result.GetValue(count), cancel)));
        return command;
    }

    private static int Run(string guest, AccessKinds kinds, int rate, int count, CancellationToken cancel)
    {
        try
        {
            using LinuxProcesses processes = new();
            int pid = FindPid(guest, processes.FindLockHolder);
            var process = processes.Identify(pid);
            using IGuestSampler sampler = new KvmSamplerFactory().Attach(pid);
            Print(sampler, kinds, rate, count, () => processes.Identify(pid) == process, TimeProvider.System,
                Console.Out, cancel);
            return ExitCode.Success;
        }
        catch (GuestMemoryException e)
        {
            string hint = e.Kind == GuestMemoryError.AlreadySampled
                ? "; if it is the agent, let it go with: virttier set DOMAIN --mode off"
                : "";
            Console.Error.WriteLine($"virttier: {e.Message}{hint}");
            return ExitCode.BadInput;
        }
    }

    /// <summary>The pid that <paramref name="guest"/> is, or that of the domain with this name.</summary>
    /// <exception cref="GuestMemoryException">There is no such domain.</exception>
    internal static int FindPid(string guest, Func<string, int?> lockHolder)
    {
        if (int.TryParse(guest, NumberStyles.None, CultureInfo.InvariantCulture, out int pid) && pid > 0)
            return pid;
        // A name with a slash would be a path out of the directory.
        return (guest.Contains('/', StringComparison.Ordinal) ? null : lockHolder(Path.Combine(RunDirectory, guest + ".pid")))
            ?? throw new GuestMemoryException(
                GuestMemoryError.NotAGuest,
                $"'{Shorten.ForMessage(guest)}' is neither a pid nor a domain that runs (virsh list shows those)");
    }

    /// <summary>Prints samples until there were <paramref name="count"/>, the guest ends,
    /// or <paramref name="cancel"/> is set.</summary>
    internal static void Print(
        IGuestSampler sampler, AccessKinds kinds, int rate, int count, Func<bool> isAlive, TimeProvider time, TextWriter output,
        CancellationToken cancel)
    {
        var samples = new AccessSample[256];
        sampler.SampleFaults(kinds, rate);
        while (count > 0 && !cancel.IsCancellationRequested)
        {
            if (!sampler.WaitForSamples(s_wait))
            {
                if (!isAlive())
                    throw new GuestMemoryException(GuestMemoryError.ProcessGone, "the guest has ended");
                continue;
            }
            int read = sampler.ReadSamples(samples.AsSpan(0, Math.Min(count, samples.Length)));
            string now = time.GetLocalNow().ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture);
            foreach (AccessSample sample in samples.AsSpan(0, read))
                output.WriteLine(string.Create(
                    CultureInfo.InvariantCulture, $"{now}  gfn 0x{sample.Gfn:x}  {Letters(sample.Kinds)}"));
            output.Flush();
            count -= read;
        }
        sampler.SampleFaults(AccessKinds.None, 0);
    }

    private static string Letters(AccessKinds kinds) => string.Create(3, kinds, static (text, kinds) =>
    {
        text[0] = kinds.HasFlag(AccessKinds.Read) ? 'r' : '-';
        text[1] = kinds.HasFlag(AccessKinds.Write) ? 'w' : '-';
        text[2] = kinds.HasFlag(AccessKinds.Execute) ? 'x' : '-';
    });

    private static AccessKinds ParseKinds(ArgumentResult result)
    {
        string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        AccessKinds kinds = AccessKinds.None;
        foreach (char letter in text)
        {
            kinds |= letter switch
            {
                'r' => AccessKinds.Read,
                'w' => AccessKinds.Write,
                'x' => AccessKinds.Execute,
                _ => (AccessKinds)8,
            };
        }
        if (kinds is AccessKinds.None or >= (AccessKinds)8)
            result.AddError($"--kinds '{Shorten.ForMessage(text)}': must be made of r, w and x, such as rw");
        return kinds;
    }
}
