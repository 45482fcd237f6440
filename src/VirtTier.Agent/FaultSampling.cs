// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Agent;

/// <summary>Which fault samples are taken of a guest, and what becomes of them.</summary>
/// <param name="sampler">The guest's sampler.</param>
/// <param name="rate">Samples a second; 0 for none.</param>
/// <param name="writeWeight">What a write weighs, a read being 1.</param>
internal sealed class FaultSampling(IGuestSampler sampler, int rate, double writeWeight)
{
    // How many times the rate samples are taken of a guest that is to be split, until there are enough for each of its blocks.
    private const int Hurry = 10;
    private const int EnoughOfBlock = 8;

    private const AccessKinds AnyAccess = AccessKinds.Read | AccessKinds.Write | AccessKinds.Execute;

    private readonly AccessSample[] _samples = new AccessSample[256];
    private AccessKinds _kinds;
    private int _rate;
    private long _landmines;

    /// <summary>Whether there can be any.</summary>
    public bool IsPossible { get; } = rate > 0 && sampler.GetInfo().Features.HasFlag(SamplerFeatures.FaultSampling);

    /// <summary>Samples taken in so far.</summary>
    public long Count { get; private set; }

    /// <summary>
    /// Samples what is worth it until the next round ends. Bits tell as much of pages that are mapped by themselves, and where a
    /// write is a read's like. Elsewhere rounds of any access and of writes alone take turns.
    /// </summary>
    /// <param name="sizes">How the guest's blocks are mapped.</param>
    /// <param name="splits">Whether these may be split, for which samples are the way in.</param>
    /// <param name="layout">As for <see cref="Take"/>.</param>
    /// <param name="planner">As for <see cref="Take"/>.</param>
    public void Choose(ReadOnlySpan<MappingSize> sizes, bool splits, GuestLayout layout, PlacementPlanner planner)
    {
        AccessKinds kinds = !IsPossible || (writeWeight == 1 && !sizes.Contains(MappingSize.Size2M)) ? AccessKinds.None
            : writeWeight != 1 && _kinds == AnyAccess ? AccessKinds.Write
            : AnyAccess;
        bool isNew = splits && Count < (long)EnoughOfBlock * sizes.Count(MappingSize.Size2M);
        Change(kinds, isNew ? Math.Min(Hurry * rate, (int)Limits.FaultRate.Highest) : rate, layout, planner);
    }

    /// <summary>Takes no more until <see cref="Choose"/>.</summary>
    /// <param name="layout">As for <see cref="Take"/>.</param>
    /// <param name="planner">As for <see cref="Take"/>.</param>
    public void Stop(GuestLayout layout, PlacementPlanner planner) =>
        Change(AccessKinds.None, 0, layout, planner);

    /// <summary>Tells the planner how many landmines were laid since this was last called.</summary>
    /// <param name="armed">All that were laid since the sampler was attached.</param>
    /// <param name="planner">Who is told.</param>
    public void CountLandmines(long armed, PlacementPlanner planner)
    {
        long laid = armed - _landmines;
        _landmines = armed;
        if (_kinds != AccessKinds.None)
            planner.CountLandmines(any: _kinds == AnyAccess ? laid : 0, write: _kinds == AnyAccess ? 0 : laid);
    }

    /// <summary>Hands on the samples that there are.</summary>
    /// <param name="layout">The guest's layout.</param>
    /// <param name="planner">Who is told of them.</param>
    public void Take(GuestLayout layout, PlacementPlanner planner)
    {
        int count = _kinds == AccessKinds.None ? 0 : _samples.Length;
        while (count == _samples.Length)
        {
            count = sampler.ReadSamples(_samples);
            foreach (AccessSample sample in _samples.AsSpan(0, count))
            {
                int page = layout.IndexOf(sample.Gfn);
                if (page < 0)
                    continue;
                planner.Sample(page, write: _kinds != AnyAccess);
                Count++;
            }
        }
    }

    private void Change(AccessKinds kinds, int perSecond, GuestLayout layout, PlacementPlanner planner)
    {
        perSecond = kinds == AccessKinds.None ? 0 : perSecond;
        if (kinds == _kinds && perSecond == _rate)
            return;
        Take(layout, planner); // what there is, is of the old kinds
        sampler.SampleFaults(kinds, perSecond);
        (_kinds, _rate) = (kinds, perSecond);
    }
}
