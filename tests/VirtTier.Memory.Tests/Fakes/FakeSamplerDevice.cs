// SPDX-License-Identifier: Apache-2.0
using VirtTier.Linux;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Fakes;

/// <summary>The kernel module as its header describes it, for one guest.</summary>
internal sealed unsafe class FakeSamplerDevice : ISamplerDevice
{
    public uint AbiVersion { get; set; } = KvmEptSampleAbi.Version;

    /// <summary>The next results of a request, before the call itself is done: 0 lets it be done.</summary>
    public Dictionary<uint, Queue<int>> Results { get; } = [];

    public List<(uint Request, nint Argument)> Calls { get; } = [];

    public List<Memslot> Memslots { get; } = [];

    public HashSet<ulong> AccessedGfns { get; } = [];

    /// <summary>A harvest stops with -EINTR after this many pages; 0 = never.</summary>
    public ulong InterruptAfter { get; set; }

    public Queue<ulong> Samples { get; } = new();

    public List<int> Polls { get; } = [];

    /// <summary>What a harvest says of the guest's state; 0 is a module that does not say.</summary>
    public uint HarvestState { get; set; } = 0b10000;

    /// <summary>The flags of GET_INFO.</summary>
    public uint InfoFlags { get; set; } = 0b10001;

    /// <summary>The bitmaps that the last harvest asked for.</summary>
    public (bool Dirty, bool Present) LastHarvest { get; private set; }

    public bool IsDisposed { get; private set; }

    /// <summary>What becomes of the answer to GET_INFO, as of a module that has gone wrong.</summary>
    public Func<KvmEptSampleInfo, KvmEptSampleInfo> Info { get; set; } = info => info;

    /// <summary>The same of a harvest's.</summary>
    public Func<KvmEptSampleHarvest, KvmEptSampleHarvest> Answer { get; set; } = answer => answer;

    /// <summary>How many memslots it says that there are; null is the truth.</summary>
    public ulong? MemslotCount { get; set; }

    /// <summary>How many bytes a read says that it gave; null is the truth.</summary>
    public int? ReadBytes { get; set; }

    /// <summary>The size of each mapping.</summary>
    public MappingSize Size { get; set; } = MappingSize.Size4K;

    public void Fail(uint request, params int[] results) => Results[request] = new Queue<int>(results);

    public int Ioctl(uint request, nint argument)
    {
        Calls.Add((request, argument));
        if (Results.TryGetValue(request, out Queue<int>? results) && results.TryDequeue(out int result) && result != 0)
            return result;
        if (request == KvmEptSampleAbi.CmdGetInfo)
            return GetInfo((KvmEptSampleInfo*)argument);
        if (request == KvmEptSampleAbi.CmdGetMemslots)
            return GetMemslots((KvmEptSampleGetMemslots*)argument);
        return request == KvmEptSampleAbi.CmdHarvest ? Harvest((KvmEptSampleHarvest*)argument) : 0;
    }

    public int Read(Span<byte> buffer)
    {
        Span<ulong> records = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(buffer);
        int count = 0;
        while (count < records.Length && Samples.TryDequeue(out ulong record))
            records[count++] = record;
        return ReadBytes ?? count * sizeof(ulong);
    }

    public int Poll(int milliseconds)
    {
        Polls.Add(milliseconds);
        return Samples.Count > 0 ? 1 : 0;
    }

    public void Dispose() => IsDisposed = true;

    private int GetInfo(KvmEptSampleInfo* info)
    {
        if (info->Size != sizeof(KvmEptSampleInfo))
            return -Errno.EINVAL;
        info->AbiVersion = AbiVersion;
        info->Flags = InfoFlags;
        info->Paging = 1;
        info->Vcpus = 2;
        info->HarvestNs = 1_500_000;
        info->Generation = 7;
        *info = Info(*info);
        return 0;
    }

    private int GetMemslots(KvmEptSampleGetMemslots* request)
    {
        request->Count = Math.Min(request->Capacity, (nuint)Memslots.Count);
        for (int i = 0; i < (int)request->Count; i++)
        {
            request->Memslots[i] = new KvmEptSampleMemslot
            {
                Gpa = Memslots[i].Gpa,
                Hva = Memslots[i].Hva,
                PageCount = (nuint)Memslots[i].PageCount,
            };
        }

        request->Count = (nuint?)MemslotCount ?? request->Count;
        return 0;
    }

    private int Harvest(KvmEptSampleHarvest* request)
    {
        if ((request->Start | request->End | request->Base) % 512 != 0 || request->Start >= request->End
            || request->Base > request->Start)
            return -Errno.EINVAL;
        ulong end = InterruptAfter == 0 ? request->End : Math.Min(request->End, request->Start + InterruptAfter);
        request->PagesAccessed = 0;
        for (ulong gfn = request->Start; gfn < end; gfn++)
        {
            ulong bit = gfn - request->Base;
            ulong* word = (ulong*)request->Accessed + (bit / 64);
            ulong mask = 1UL << (int)(bit % 64);
            bool isAccessed = AccessedGfns.Contains(gfn);
            *word = isAccessed ? *word | mask : *word & ~mask;
            request->PagesAccessed += isAccessed ? 1u : 0u;
            ((byte*)request->Sizes)[bit / 512] = (byte)Size;
        }

        if ((request->Flags & 1) != 0)
            AccessedGfns.RemoveWhere(gfn => gfn >= request->Start && gfn < end);
        request->Next = end;
        request->Generation = 7;
        request->State = HarvestState;
        *request = Answer(*request);
        LastHarvest = (request->Dirty != 0, request->Present != 0);
        return InterruptAfter != 0 && end < request->End ? -Errno.EINTR : 0;
    }
}
