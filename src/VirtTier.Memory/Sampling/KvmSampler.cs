// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VirtTier.Linux;
using VirtTier.Memory.Layout;
using VirtTier.Primitives;
using static Tmds.Linux.LibC;

namespace VirtTier.Memory.Sampling;

/// <summary>Attaches to guests through the kernel module kvm_ept_sample.</summary>
public sealed class KvmSamplerFactory : IGuestSamplerFactory
{
    private readonly string _path;

    /// <summary>Makes the factory.</summary>
    /// <param name="path">The module's file.</param>
    public KvmSamplerFactory(string path = KvmEptSampleAbi.Path) => _path = path;

    /// <inheritdoc/>
    public IGuestSampler Attach(int pid)
    {
        SamplerDevice device = SamplerDevice.Open(_path, out int errno) ?? throw SamplerErrors.Opening(_path, errno);
        return KvmSampler.Attach(device, _path, pid);
    }
}

/// <summary>A client of the kernel module, attached to one guest.</summary>
internal sealed unsafe class KvmSampler : IGuestSampler
{
    // Twice KVM's KVM_USER_MEM_SLOTS.
    private const int MostMemslots = 1 << 16;

    // As many as a processor can address.
    private const ulong MostPages = 1UL << 40;

    private readonly ISamplerDevice _device;
    private readonly int _pid;

    private KvmSampler(ISamplerDevice device, int pid)
    {
        _device = device;
        _pid = pid;
    }

    /// <summary>Checks the ABI, then attaches. Owns <paramref name="device"/>, also when it throws.</summary>
    internal static KvmSampler Attach(ISamplerDevice device, string path, int pid)
    {
        try
        {
            KvmEptSampleInfo info = NewInfo();
            int result = Call(device, KvmEptSampleAbi.CmdGetInfo, (nint)(&info));
            if (result < 0)
                throw SamplerErrors.OtherAbi(path, $"an ABI without GET_INFO ({Errno.Describe(-result)})");
            if (info.AbiVersion != KvmEptSampleAbi.Version)
                throw SamplerErrors.OtherAbi(path, $"ABI version {info.AbiVersion}");

            result = Call(device, KvmEptSampleAbi.CmdInit, pid);
            if (result < 0)
                throw SamplerErrors.Attaching(pid, -result);
            KvmSampler sampler = new(device, pid);
            sampler.Check(Call(device, KvmEptSampleAbi.CmdSetRecord, sizeof(AccessSample)), "choose wide sample records");
            return sampler;
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public SamplerInfo GetInfo()
    {
        KvmEptSampleInfo info = NewInfo();
        Check(Call(_device, KvmEptSampleAbi.CmdGetInfo, (nint)(&info)), "read the sampler's state");
        return new SamplerInfo(
            Features(info.Flags),
            (GuestPaging)Within(info.Paging, int.MaxValue, "as the kind of page tables"),
            (int)Within(info.Vcpus, int.MaxValue, "virtual CPUs"),
            (int)Within(info.Memslots, int.MaxValue, "memslots"),
            info.GfnEnd,
            info.Generation,
            info.Harvests,
            TimeSpan.FromTicks((long)(info.HarvestNs / TimeSpan.NanosecondsPerTick)),
            info.Entries,
            info.Flushes,
            info.Samples,
            info.Dropped,
            Within(info.Armed, long.MaxValue, "armed pages"),
            info.Faults);
    }

    /// <inheritdoc/>
    public IReadOnlyList<Memslot> GetMemslots()
    {
        // The call fills as many as fit, so a full array may be a cut one (the slots can grow between two calls).
        for (int capacity = 32; capacity <= MostMemslots; capacity *= 2)
        {
            var slots = new KvmEptSampleMemslot[capacity];
            fixed (KvmEptSampleMemslot* first = slots)
            {
                KvmEptSampleGetMemslots request = new() { Memslots = first, Capacity = (nuint)capacity };
                Check(Call(_device, KvmEptSampleAbi.CmdGetMemslots, (nint)(&request)), "read the memslots");
                if (request.Count < (nuint)capacity)
                    return Array.ConvertAll(slots[..(int)request.Count], s => new Memslot(s.Gpa, s.Hva, s.PageCount));
            }
        }
        throw new GuestMemoryException(
            GuestMemoryError.Failed, $"the kernel module names more than {MostMemslots - 1} memslots of process {_pid}");
    }

    /// <inheritdoc/>
    public HarvestResult Harvest(GfnRange range, HarvestBuffers buffers, HarvestOptions options)
    {
        ArgumentNullException.ThrowIfNull(buffers);
        range.CheckWithin(buffers.PageCount);
        fixed (ulong* accessed = buffers.Accessed[(range.FirstIndex / 64)..])
        // Null, if that is not wanted.
        fixed (ulong* dirty = From(range, buffers.Dirty))
        fixed (ulong* present = From(range, buffers.Present))
        fixed (MappingSize* sizes = buffers.WritableSizes[(range.FirstIndex / PageSizes.BlockPages)..])
        {
            KvmEptSampleHarvest request = new()
            {
                Size = (uint)sizeof(KvmEptSampleHarvest),
                Flags = (uint)options,
                Start = range.FirstGfn,
                End = range.EndGfn,
                Base = range.FirstGfn,
                Accessed = (ulong)accessed,
                Dirty = (ulong)dirty,
                Present = (ulong)present,
                Sizes = (ulong)sizes,
            };
            HarvestResult total = default;
            while (request.Start < request.End)
            {
                request.Next = request.Start;
                int result = _device.Ioctl(KvmEptSampleAbi.CmdHarvest, (nint)(&request));
                if (result == -Errno.EINTR && request.Next == request.Start)
                    continue;
                if (result != -Errno.EINTR)
                    Check(result, "harvest accessed bits");
                if (request.Next <= request.Start)
                    throw new GuestMemoryException(
                        GuestMemoryError.Failed, $"the kernel module made no progress at gfn {request.Start:x}");
                total = new HarvestResult(
                    total.Present + Pages(request.PagesPresent),
                    total.Accessed + Pages(request.PagesAccessed),
                    total.Dirty + Pages(request.PagesDirty),
                    request.Generation);
                request.Start = request.Next;
            }
            Span<MappingSize> named = buffers.WritableSizes.Slice(
                range.FirstIndex / PageSizes.BlockPages, range.PageCount / PageSizes.BlockPages);
            if (MemoryMarshal.AsBytes(named).ContainsAnyExceptInRange((byte)0, (byte)MappingSize.Size1G))
                throw new GuestMemoryException(
                    GuestMemoryError.Failed, "the kernel module names sizes of mappings that there are not");

            SamplerFeatures state = Features(request.State);
            // A module from before this field leaves it alone.
            if (!state.HasFlag(SamplerFeatures.GuestAttached))
                state = GetInfo().Features;
            return total with
            {
                IsDirtyLogged = state.HasFlag(SamplerFeatures.DirtyLogging),
                RunsUnseenGuests = state.HasUnseenGuests(),
            };
        }
    }

    /// <inheritdoc/>
    public void SampleFaults(AccessKinds kinds, int samplesPerSecond)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(samplesPerSecond);
        if (samplesPerSecond > 0)
            Check(Call(_device, KvmEptSampleAbi.CmdSetProt, (nint)kinds), $"sample {kinds} faults");
        Check(Call(_device, KvmEptSampleAbi.CmdSetFreq, samplesPerSecond), $"sample {samplesPerSecond} faults a second");
    }

    /// <inheritdoc/>
    public int ReadSamples(Span<AccessSample> destination)
    {
        int result;
        do
        {
            result = _device.Read(MemoryMarshal.AsBytes(destination));
        }
        while (result == -Errno.EINTR);
        Check(result, "read fault samples");
        return (int)Within((ulong)result, (ulong)destination.Length * (ulong)sizeof(AccessSample), "bytes of samples")
            / Unsafe.SizeOf<AccessSample>();
    }

    /// <inheritdoc/>
    public bool WaitForSamples(TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(timeout, TimeSpan.Zero);
        int result = _device.Poll((int)Math.Min(timeout.TotalMilliseconds, int.MaxValue));
        if (result == -Errno.EINTR)
            return false;
        Check(result, "wait for fault samples");
        return result > 0;
    }

    /// <summary>Lets go of the guest: closing the module's file detaches it.</summary>
    public void Dispose() => _device.Dispose();

    private static Span<ulong> From(GfnRange range, Span<ulong> bitmap) =>
        bitmap.IsEmpty ? bitmap : bitmap[(range.FirstIndex / 64)..];

    // What a later module adds is nothing to this program.
    private static SamplerFeatures Features(uint flags) => (SamplerFeatures)(flags & int.MaxValue);

    private static long Pages(ulong count) => (long)Within(count, MostPages, "pages in a harvest");

    // A number that cannot be would be another one where it is counted with.
    private static ulong Within(ulong number, ulong most, string what) => number <= most
        ? number
        : throw new GuestMemoryException(GuestMemoryError.Failed, $"the kernel module says {number} {what}, of at most {most}");

    private static KvmEptSampleInfo NewInfo() => new() { Size = (uint)sizeof(KvmEptSampleInfo) };

    private static int Call(ISamplerDevice device, uint request, nint argument)
    {
        int result;
        do
        {
            result = device.Ioctl(request, argument);
        }
        while (result == -Errno.EINTR);
        return result;
    }

    private void Check(int result, string action)
    {
        if (result < 0)
            throw SamplerErrors.Using(_pid, action, -result);
    }
}

/// <summary>One open file of the kernel module. Results are the call's own, or -errno.</summary>
internal interface ISamplerDevice : IDisposable
{
    int Ioctl(uint request, nint argument);

    int Read(Span<byte> buffer);

    /// <summary>Waits until there is something to read: 1, or 0 after <paramref name="milliseconds"/>.</summary>
    int Poll(int milliseconds);
}

internal sealed class SamplerDevice : ISamplerDevice
{
    private readonly SafeFileHandle _file;

    private SamplerDevice(SafeFileHandle file) => _file = file;

    /// <summary>Opens the module's file; on failure the result is null and <paramref name="errno"/> says why.</summary>
    public static SamplerDevice? Open(string path, out int errno)
    {
        // To read is enough for every command, and CAP_DAC_READ_SEARCH for that.
        SafeFileHandle file = Libc.Open(path, O_RDONLY, out errno);
        return file.IsInvalid ? null : new SamplerDevice(file);
    }

    public int Ioctl(uint request, nint argument) => Libc.Ioctl(_file, request, argument);

    public int Read(Span<byte> buffer) => Libc.Read(_file, buffer);

    public int Poll(int milliseconds) => Libc.PollReadable(_file, milliseconds);

    public void Dispose() => _file.Dispose();
}
