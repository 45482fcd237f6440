// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Numerics;

namespace VirtTier.Testbed;

/// <summary>
/// A bare-metal guest with exactly known accesses (testbed/guests/payload.S): all of its memory from 1 MiB up is written once,
/// then only a hot set, scattered over that memory, is touched for ever, and lone pages, each by itself in 2 MiB. Page numbers
/// are guest frame numbers (gfn) of 4 KiB.
/// </summary>
public sealed class PayloadGuest
{
    /// <summary>The byte that shifts the hot set when sent to the guest's first serial port.</summary>
    public const char ShiftCommand = 's';

    /// <summary>The byte after which it touches all of its memory in every pass.</summary>
    public const char EvenCommand = 'e';

    /// <summary>The byte after which it touches all of its memory once.</summary>
    public const char OnceCommand = 'o';

    /// <summary>The first frame of the range written once: 1 MiB, above the PC's low memory.</summary>
    public const int FirstFrame = 0x100;

    /// <summary>Frames below <see cref="FirstFrame"/> where this PC has a display's memory (from 640 KiB) and its ROM (up to
    /// 1 MiB) instead of its own: the guest never has what QEMU's process may hold there.</summary>
    public static IReadOnlyList<int> HoleFrames { get; } =
        [.. Enumerable.Range(0xa0, 0x20), .. Enumerable.Range(FirstFrame - RomFrames, RomFrames)];

    /// <summary>The frame of the payload's own state and stack: touched in every pass, so always hot.</summary>
    public const int StateFrame = 1;

    /// <summary>The first frame of the ROM: the payload runs there, right below 4 GiB.</summary>
    public const int FirstRomFrame = 0xffff0;

    /// <summary>Frames of the ROM.</summary>
    public const int RomFrames = 16;

    private const int PageBytes = 4096;
    private const int ParametersOffset = 0x10;
    private const int FramesInMebibyte = 256;
    private const int BlockFrames = 512;
    private const int StrewnStartFrame = FirstFrame + 77;
    private static readonly TimeSpan s_longestPeriod = TimeSpan.FromSeconds(4);

    /// <summary>The domain's name.</summary>
    public required string Name { get; init; }

    /// <summary>Guest memory in MiB.</summary>
    public required int MemoryMebibytes { get; init; }

    /// <summary>Pages in the hot set.</summary>
    public required int HotPages { get; init; }

    /// <summary>Frames from one place of the hot set to the next.</summary>
    public int StrideFrames { get; init; } = 3;

    /// <summary>The first place of the hot set.</summary>
    public int HotStartFrame { get; init; } = FirstFrame;

    /// <summary>
    /// Pages of the hot set from one touch to the next, without a common factor with <see cref="HotPages"/>. With 1 a pass is a
    /// sweep; with more it goes all over the set, and which page of a neighbourhood is touched first is another in each pass.
    /// </summary>
    public int StepPages { get; init; } = 1;

    /// <summary>Lone pages: read in every pass, one in each of as many neighbours of 2 MiB.</summary>
    public int LonePages { get; init; }

    /// <summary>The first of them.</summary>
    public int LoneStartFrame { get; init; } = FirstFrame;

    /// <summary>Pages of the hot set, from its first, that passes write (and check what the pass before wrote), while they only
    /// read the others; null: all.</summary>
    public int? WrittenPages { get; init; }

    /// <summary>Time from the start of one pass over the hot set to the next; at most 4 s.</summary>
    public TimeSpan PassPeriod { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Passes for one heartbeat in <see cref="PayloadLog"/>.</summary>
    public int PassesPerHeartbeat { get; init; } = 10;

    /// <summary>What the guest's RAM is backed by.</summary>
    public GuestMemory Memory { get; init; } = GuestMemory.Anonymous;

    /// <summary>The host's processors that its virtual CPUs may run on. In each case where the emulator lost a guest it was the
    /// host's CPU 0 that did; see the README beside this project.</summary>
    public string Cpus { get; init; } = "1";

    /// <summary>The host's nodes that its memory is limited to (a strict numatune); null for no limit.</summary>
    public string? Nodes { get; init; }

    /// <summary>Its own NUMA cells, in the order of their memory, which must be all of it; none for a guest without. Each has a
    /// virtual CPU, of which the payload uses the first.</summary>
    public IReadOnlyList<PayloadCell> Cells { get; init; } = [];

    /// <summary>A guest of which one small page in each 2 MiB is hot, and no other but its own state's.</summary>
    /// <param name="name">The domain's name.</param>
    /// <param name="blocks">Its memory, in blocks of 2 MiB.</param>
    /// <param name="memory">What backs it.</param>
    public static PayloadGuest Strewn(string name, int blocks, GuestMemory memory = GuestMemory.Anonymous) => new()
    {
        Name = name, MemoryMebibytes = blocks * BlockFrames / FramesInMebibyte, Memory = memory,
        HotPages = 2, StrideFrames = BlockFrames, HotStartFrame = StrewnStartFrame,
        LonePages = blocks - 2, LoneStartFrame = StrewnStartFrame + (2 * BlockFrames),
    };

    /// <summary>Guest memory in pages, with those below 1 MiB.</summary>
    public int Frames => MemoryMebibytes * FramesInMebibyte;

    // Half of the set's pages are new after a shift; with two sets' worth of places a set comes back after four shifts.
    private int Places => 2 * HotPages;

    /// <summary>The ROM that makes this guest: 64 KiB, in place of a BIOS.</summary>
    /// <exception cref="ArgumentException">The hot set does not fit the memory, or a number is out of range.</exception>
    public byte[] BuildRom()
    {
        Check();
        byte[] rom = ReadTemplate();
        // In the order of the PARAM()s of payload.S.
        uint[] parameters =
        [
            FirstFrame * PageBytes,
            (uint)(Frames - FirstFrame),
            (uint)(HotStartFrame * PageBytes),
            (uint)HotPages,
            (uint)(StrideFrames * PageBytes),
            (uint)Places,
            (uint)(WrittenPages ?? HotPages),
            (uint)PassPeriod.TotalNanoseconds,
            (uint)PassesPerHeartbeat,
            (uint)(LoneStartFrame * PageBytes),
            (uint)LonePages,
            (uint)StepPages,
        ];
        for (int i = 0; i < parameters.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(rom.AsSpan(ParametersOffset + i * sizeof(uint)), parameters[i]);
        return rom;
    }

    /// <summary>The frames that the guest touches in every pass after that many shifts; all others are cold.</summary>
    public IReadOnlySet<int> HotFrames(int shifts = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(shifts);
        var frames = new HashSet<int> { StateFrame };
        long first = (long)shifts * (HotPages / 2) % Places;
        for (int i = 0; i < HotPages; i++)
            frames.Add(HotStartFrame + (int)((first + i) % Places) * StrideFrames);
        for (int i = 0; i < LonePages; i++)
            frames.Add(LoneStartFrame + i * BlockFrames);
        return frames;
    }

    /// <summary>Of <see cref="HotFrames"/>, before any shift, those that are written.</summary>
    public IReadOnlySet<int> WrittenFrames() =>
        new HashSet<int>(Enumerable.Range(0, WrittenPages ?? HotPages).Select(i => HotStartFrame + i * StrideFrames))
        {
            StateFrame,
        };

    /// <summary>Where the guest's reports go in the host.</summary>
    public string LogPath => $"{GuestDomain.Folder}/{Name}.log";

    /// <summary>Where the host must find the ROM.</summary>
    public string RomPath => $"{GuestDomain.Folder}/{Name}.rom";

    /// <summary>The libvirt domain, ready for <c>virsh define</c>.</summary>
    /// <param name="tiering">Attributes of its <c>tiering</c> metadata, for example <c>dram="64MiB"</c>; null for none.</param>
    public string DomainXml(string? tiering = null) => GuestDomain.Payload(this, tiering);

    private void Check()
    {
        Require(Cells.Count == 0 || Cells.Sum(cell => cell.MemoryMebibytes) == MemoryMebibytes, nameof(Cells),
            Cells.Sum(cell => cell.MemoryMebibytes), $"cells of {MemoryMebibytes} MiB together");
        Require(MemoryMebibytes is >= 2 and <= 3072, nameof(MemoryMebibytes), MemoryMebibytes, "2..3072 (below the PCI hole)");
        Require(HotPages >= 2 && HotPages % 2 == 0, nameof(HotPages), HotPages, "an even number from 2 up");
        Require(StepPages >= 1 && StepPages < HotPages && BigInteger.GreatestCommonDivisor(StepPages, HotPages) == 1,
            nameof(StepPages), StepPages,
            $"below {HotPages} and without a common factor with it");
        Require(WrittenPages is null || (WrittenPages >= 0 && WrittenPages <= HotPages), nameof(WrittenPages), WrittenPages ?? 0,
            $"0..{HotPages}");
        Require(StrideFrames >= 1, nameof(StrideFrames), StrideFrames, "1 or more");
        Require(PassesPerHeartbeat >= 1, nameof(PassesPerHeartbeat), PassesPerHeartbeat, "1 or more");
        Require(PassPeriod > TimeSpan.Zero && PassPeriod <= s_longestPeriod, nameof(PassPeriod), PassPeriod,
            "above 0, at most 4 s");
        Require(HotStartFrame >= FirstFrame, nameof(HotStartFrame), HotStartFrame, $"{FirstFrame} or more");
        long end = HotStartFrame + (long)(Places - 1) * StrideFrames + 1;
        Require(end <= Frames, nameof(HotPages), HotPages,
            $"fewer: the set and its shifts need frames up to {end}, the guest has {Frames}");
        Require(LoneStartFrame >= FirstFrame, nameof(LoneStartFrame), LoneStartFrame, $"{FirstFrame} or more");
        Require(LonePages >= 0, nameof(LonePages), LonePages, "0 or more");
        end = LonePages == 0 ? 0 : LoneStartFrame + (long)(LonePages - 1) * BlockFrames + 1;
        Require(end <= Frames, nameof(LonePages), LonePages, $"fewer: they need frames up to {end}, the guest has {Frames}");
    }

    private static void Require(bool holds, string name, object value, string right)
    {
        if (!holds)
            throw new ArgumentException($"payload guest: {name} is {value}; right would be {right}");
    }

    private static byte[] ReadTemplate()
    {
        using Stream stream = typeof(PayloadGuest).Assembly.GetManifestResourceStream("payload.rom")
            ?? throw new InvalidOperationException("payload.rom is not embedded in VirtTier.Testbed");
        byte[] rom = new byte[stream.Length];
        stream.ReadExactly(rom);
        return rom;
    }
}

/// <summary>A NUMA cell of a payload guest.</summary>
/// <param name="MemoryMebibytes">Its memory, in MiB.</param>
/// <param name="Cpus">The host's processors that its virtual CPU may run on.</param>
public sealed record PayloadCell(int MemoryMebibytes, string Cpus);
