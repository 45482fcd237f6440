// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Tiering.Heat;

/// <summary>
/// Fault samples by 2 MiB region, and the <see cref="AccessWeight"/> that follows from them: how many of its pages are in use, where it is
/// mapped as one and a bit stands for all of them, and how much of what it gets is writes.
/// </summary>
/// <remarks>
/// <para>Three bytes a region. How often each page of a 2 MiB mapping was sampled is in its heat byte, which nothing else uses then.</para>
/// <para>A sample is the first access after its landmine was laid, so a sweep is seen where it enters the region, at the same page again and
/// again, and counts as a few pages. That is as it should be: processors fetch ahead in sweeps, and slow memory costs them the least; and a few busy
/// pages are in their caches.</para>
/// <para>Programs read most pages before they write them, so the kind of a first access says little. Writes are sampled by themselves, with landmines that
/// only a write steps on; against those that any access steps on, as many of each, they tell how much of the time in which a region is in use it is
/// written.</para>
/// </remarks>
/// <param name="history">The pages' past.</param>
/// <param name="sizes">One <see cref="MappingSize"/> for each region.</param>
/// <param name="sampled">Whether there will be samples; without, all weigh the same.</param>
internal sealed class BlockSamples(PageHistory history, MappingSize[] sizes, bool sampled)
{
    // Samples of a region that are remembered: enough to tell 512 pages in use from 128, few enough to forget within some minutes.
    private const int Most = 64;

    // Of what the guest as a whole does, for each time that landmines are counted, which is once a round.
    private const double Memory = 0.9;

    // A region is believed to get as many writes as the guest does, as if so many samples had said so: the rounds of either kind are seldom alike, and
    // a weight that swings costs moves.
    private const double PriorSamples = 16;

    // Accesses go with this power of the pages in use: with 1 each page would get as many, with 0 each region. It is half-way, as either is found in
    // recordings, and halves what a wrong estimate does.
    private const double Evenness = 0.5;

    private static readonly double s_believedLog2 = UsedPages.Log2(distinct: 0, samples: 0);

    private readonly byte[] _samples = new byte[sizes.Length];
    private readonly byte[] _writes = new byte[sizes.Length];
    private readonly byte[] _weights = new byte[sizes.Length];
    private readonly List<int> _fresh = [];
    private Landmines _any;
    private Landmines _write;

    /// <summary>Classes of <see cref="AccessWeight"/> that occur.</summary>
    public int Weights => sampled ? AccessWeight.Classes : 1;

    /// <summary>States in all of these classes.</summary>
    public int States => PageState.Weighted(0, Weights);

    /// <summary>The class of a region, as of the last <see cref="Weigh"/>.</summary>
    public byte Weight(int region) => _weights[region];

    /// <summary>Takes in a sample of any access.</summary>
    public void Add(int page)
    {
        _any = _any with { Samples = _any.Samples + 1 };
        int region = page / PageSizes.BlockPages;
        _fresh.Add(region);
        if (_samples[region] == Most)
            Age(region);
        _samples[region]++;
        int offset = page % PageSizes.BlockPages;
        if (sizes[region] == MappingSize.Size2M && offset > 0)
            SamplesOf(region)[offset - 1]++;
    }

    /// <summary>Takes in a sample by a landmine that only a write steps on.</summary>
    public void AddWrite(int page)
    {
        _write = _write with { Samples = _write.Samples + 1 };
        int region = page / PageSizes.BlockPages;
        _fresh.Add(region);
        if (_writes[region] < byte.MaxValue)
            _writes[region]++;
    }

    /// <summary>Takes in how many landmines were laid, of which those that were stepped on brought samples.</summary>
    public void CountLandmines(double any, double write)
    {
        _any = _any.Then(any);
        _write = _write.Then(write);
    }

    /// <summary>Works out the weight of each region that was sampled since the last time.</summary>
    /// <param name="writeWeight">Reads that a write weighs as much as.</param>
    public void Weigh(double writeWeight)
    {
        // As if as many of both kinds had been laid.
        double perWrite = _write.Laid > 0 ? _any.Laid / _write.Laid : 0;
        double guestWrites = _any.Samples > 0 ? Math.Min(1, perWrite * _write.Samples / _any.Samples) : 0;
        double guest = 1 + ((writeWeight - 1) * guestWrites);
        foreach (int region in _fresh)
        {
            double writes = ((perWrite * _writes[region]) + (PriorSamples * guestWrites)) / (_samples[region] + PriorSamples);
            double weight = Math.Log2((1 + ((writeWeight - 1) * Math.Min(1, writes))) / guest);
            if (sizes[region] == MappingSize.Size2M)
                weight += Evenness * (UsedPages.Log2(DistinctOf(region), _samples[region]) - s_believedLog2);
            _weights[region] = AccessWeight.ClassOf(weight, _weights[region]);
        }
        _fresh.Clear();
    }

    /// <summary>Takes in that a region is no longer mapped as one: pages that were sampled keep its history.</summary>
    public void Split(int region)
    {
        int distinct = DistinctOf(region);
        double used = Math.Pow(2, UsedPages.Log2(distinct, _samples[region]));
        double others = Math.Clamp((used - distinct) / (PageSizes.BlockPages - distinct), 0, 1);
        if (others < 0.5)
            history.SpreadToSampled(region * PageSizes.BlockPages, PageSizes.BlockPages, others);
        else
            history.Spread(region * PageSizes.BlockPages, PageSizes.BlockPages);
        Forget(region);
    }

    /// <summary>Takes in that a region is now mapped as one: it has the history of its hottest page.</summary>
    public void Join(int region)
    {
        history.Gather(region * PageSizes.BlockPages, PageSizes.BlockPages);
        Forget(region);
    }

    /// <summary>Forgets a region's samples; those of its pages are in their history.</summary>
    public void Forget(int region) => _samples[region] = _writes[region] = _weights[region] = 0;

    /// <summary>Takes over regions that another planner of the domain had.</summary>
    public void CopyFrom(BlockSamples other, int from, int to, int count)
    {
        if (!sampled)
            return;
        other._samples.AsSpan(from, count).CopyTo(_samples.AsSpan(to));
        other._writes.AsSpan(from, count).CopyTo(_writes.AsSpan(to));
        other._weights.AsSpan(from, count).CopyTo(_weights.AsSpan(to));
        (_any, _write) = (other._any, other._write);
    }

    public void Write(BinaryWriter writer)
    {
        writer.Write(_samples);
        writer.Write(_writes);
        writer.Write(_weights);
        _any.Write(writer);
        _write.Write(writer);
    }

    public void Read(BinaryReader reader)
    {
        reader.BaseStream.ReadExactly(_samples);
        reader.BaseStream.ReadExactly(_writes);
        reader.BaseStream.ReadExactly(_weights);
        _any = Landmines.Read(reader);
        _write = Landmines.Read(reader);
        if (!sampled)
            Array.Clear(_weights);
    }

    private Span<byte> SamplesOf(int region) => history.Samples(region * PageSizes.BlockPages, PageSizes.BlockPages);

    // But for the first one, which makes no difference.
    private int DistinctOf(int region)
    {
        Span<byte> samples = SamplesOf(region);
        return samples.Length - samples.Count((byte)0);
    }

    // Halves what is remembered. What is left over at a page goes to the next one, or pages sampled once would all be forgotten.
    private void Age(int region)
    {
        int ofFirst = _samples[region];
        int left = 0;
        if (sizes[region] == MappingSize.Size2M)
        {
            Span<byte> samples = SamplesOf(region);
            ofFirst -= Sum(samples);
            int over = 0;
            foreach (ref byte count in samples)
            {
                over += count;
                count = (byte)(over / 2);
                over %= 2;
                left += count;
            }
        }
        _samples[region] = (byte)(left + (ofFirst / 2));
        _writes[region] /= 2;
    }

    // Landmines laid lately, and what they brought.
    private readonly record struct Landmines(double Laid, double Samples)
    {
        public Landmines Then(double laid) => laid > 0 ? new((Laid * Memory) + laid, Samples * Memory) : this;

        public void Write(BinaryWriter writer)
        {
            writer.Write(Laid);
            writer.Write(Samples);
        }

        public static Landmines Read(BinaryReader reader) => new(reader.ReadDouble(), reader.ReadDouble());
    }

    private static int Sum(ReadOnlySpan<byte> samples)
    {
        int sum = 0;
        foreach (byte count in samples)
            sum += count;
        return sum;
    }
}
