// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Pictures;
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Tests.Fakes;

/// <summary>Pictures of a guest of 16 MiB, half below 4 GiB and half above, at a time that stands still.</summary>
internal sealed class SamplePictures : TimeProvider
{
    public const int Pages = 8 * PageSizes.BlockPages;

    /// <summary>The process of the guest.</summary>
    public static ProcessIdentity Process { get; } = new(4711, 99);

    private static readonly GuestLayout s_layout = GuestLayout.FromMemslots(
    [
        new Memslot(0, 0x4000_0000, Pages / 2),
        new Memslot(1UL << 32, 0x4100_0000, Pages / 2),
    ]);

    private readonly GuestRecords _records;
    private readonly HarvestBuffers _harvest = new(s_layout);
    private GuestRecord? _record;

    public SamplePictures()
    {
        FakeLog log = new();
        Events = new DomainEvents(log, this);
        _records = new GuestRecords(new HeatStore("/nonexistent", log), this, log);
        Shown = new DomainPictures(_records, Events, this);
    }

    public DateTimeOffset Now { get; set; } = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    public DomainEvents Events { get; }

    public DomainPictures Shown { get; }

    /// <summary>What the guest recorded, from the first time on that this is asked for.</summary>
    public GuestRecord Record => _record ??= _records.Open(Process, s_layout);

    public override DateTimeOffset GetUtcNow() => Now;

    /// <summary>Each second of a while, another block is hot.</summary>
    public void Harvest(int seconds, Func<int, int> blockAt)
    {
        for (int second = 0; second < seconds; second++)
        {
            _harvest.Accessed.Clear();
            _harvest.Accessed.Slice(blockAt(second) * PageSizes.BlockPages / 64, PageSizes.BlockPages / 64).Fill(ulong.MaxValue);
            Record.Harvested(_harvest);
            Now += TimeSpan.FromSeconds(1);
        }
    }

    /// <summary>Rounds of which each had this curve.</summary>
    public void Rounds(DramCurve curve, TimeSpan time)
    {
        PlacementPlanner planner = new(Pages);
        byte[] residency = new byte[Pages];
        residency.AsSpan(0, Pages / 4).Fill(Residency.Fast);
        residency.AsSpan(Pages / 4).Fill(Residency.Slow);
        _harvest.Accessed.Clear();
        _harvest.Accessed[..(Pages / 4 / 64)].Fill(ulong.MaxValue);
        for (int round = 0; round < 16; round++)
        {
            for (int harvest = 0; harvest < 4; harvest++)
                planner.Observe(_harvest.Accessed, new MappingSize[Pages / PageSizes.BlockPages]);
            planner.EndRound(residency, Pages, 0, new MovePlan());
        }
        byte[] nodes = [.. residency.Select(tier => (byte)(tier == Residency.Fast ? 0 : 2))];
        Record.Looked(nodes);
        Record.EndRound(planner, curve, time);
    }
}
