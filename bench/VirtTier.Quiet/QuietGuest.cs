// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using VirtTier.Primitives;

namespace VirtTier.Bench;

/// <summary>A process with memory of a guest's size, all of it there in 4 KiB pages. It does nothing.</summary>
internal sealed class QuietGuest : IDisposable
{
    public const string Verb = "guest";

    // A part of a block at each end is not of 512 pages that belong together.
    private const ulong Alignment = 2 << 20;
    private const int NoHugePages = 15; // MADV_NOHUGEPAGE

    private readonly Process _process;

    private QuietGuest(Process process, ulong address) => (_process, Address) = (process, address);

    public int Pid => _process.Id;

    /// <summary>Where its memory begins.</summary>
    public ulong Address { get; }

    public static QuietGuest Start(int mebibytes)
    {
        Process process = Process.Start(new ProcessStartInfo(
            Environment.ProcessPath!, [Verb, mebibytes.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        return new QuietGuest(process, ulong.Parse(
            process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("the guest's process has ended"),
            CultureInfo.InvariantCulture));
    }

    public static unsafe void Run(int mebibytes)
    {
        nuint bytes = (nuint)mebibytes << 20;
        byte* memory = (byte*)NativeMemory.AlignedAlloc(bytes, (nuint)Alignment);
        if (Tmds.Linux.LibC.madvise(memory, (Tmds.Linux.size_t)(ulong)bytes, NoHugePages) != 0)
            throw new InvalidOperationException("madvise failed");
        for (nuint at = 0; at < bytes; at += PageSizes.PageBytes)
            memory[at] = 1;
        Console.WriteLine(((ulong)memory).ToString(CultureInfo.InvariantCulture));
        Console.ReadLine();
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
    }
}
