// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Memory.Layout;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Emulated;

/// <summary>A process with memory of a kind (target.c), in the place of a QEMU.</summary>
internal sealed class TargetProcess : IDisposable
{
    private readonly Process _process;

    private TargetProcess(Process process, ulong address, int mebibytes)
    {
        _process = process;
        Address = address;
        Pages = mebibytes * (1 << 20) / PageSizes.PageBytes;
        Layout = GuestLayout.FromMemslots([new Memslot(0, address, (ulong)Pages)]);
    }

    public int Pid => _process.Id;

    public ulong Address { get; }

    /// <summary>All of its pages; the first half has been touched.</summary>
    public int Pages { get; }

    public int Touched => Pages / 2;

    public GuestLayout Layout { get; }

    public static TargetProcess Start(string kind, int mebibytes, int node = 0) =>
        Start(Path.Combine(AppContext.BaseDirectory, "target"), kind, mebibytes, node);

    /// <summary>Starts one of a program that is elsewhere; without a node where the kernel likes.</summary>
    public static TargetProcess Start(string program, string kind, int mebibytes, int? node)
    {
        string size = mebibytes.ToString(CultureInfo.InvariantCulture);
        ProcessStartInfo start = node is null
            ? new(program, [kind, size])
            : new("numactl", [$"--membind={node}", program, kind, size]);
        start.RedirectStandardInput = start.RedirectStandardOutput = true;
        Process process = Process.Start(start)!;
        string line =
            process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"{program} {kind} {mebibytes} failed");
        return new TargetProcess(process, ulong.Parse(line, NumberStyles.HexNumber, CultureInfo.InvariantCulture), mebibytes);
    }

    public ulong[] Addresses(int first, int count) =>
        [.. Enumerable.Range(first, count).Select(page => Address + ((ulong)page * PageSizes.PageBytes))];

    /// <summary>Gives a command, and returns its answer.</summary>
    public string Tell(string command)
    {
        _process.StandardInput.WriteLine(command);
        return _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"no answer to '{command}'");
    }

    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        Kill();
        _process.Dispose();
    }
}
