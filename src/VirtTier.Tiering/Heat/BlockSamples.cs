// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Tiering.Heat;

/// <summary>
/// Fault samples by block, and the <see cref="AccessWeight"/> that follows from them: how many of its pages are in use, where it
/// is mapped as one and a bit stands for all of them, and how much of what it gets is writes.
/// </summary>
/// <remarks>
/// <para>Three bytes a block. How often each page of a 2 MiB mapping was sampled is in its heat byte,
/// which nothing else uses then.</para>
/// <para>A sample is the first access after its landmine was laid, so a sweep is seen where it enters the block, at the same page
/// again and again, and counts as a few pages. That is as it should be: processors fetch ahead in sweeps, and slow memory costs
/// them the least; and a few busy pages are in their caches.</para>
/// <para>Programs read most pages before they write them, so the kind of a first access says little. Writes are sampled by
/// themselves, with landmines that only a write steps on; against those that any access steps on, as many of each, they tell how
/// much of the time in which a block is in use it is written.</para>
/// </remarks>
/// <param name="history">The pages' past.</param>
/// <param name="sizes">One <see cref="MappingSize"/> for each block.</param>
/// <param name="sampled">Whether there will be samples.</param>
/// <param name="glanced">Whether there will be harvests after unequal times. Without either, all pages weigh the same.</param>
internal sealed class BlockSamples(PageHistory history, MappingSize[] sizes, bool sampled, bool glanced = false)
{
    // Samples of a block that are remembered: enough to tell 512 pages in use from 128, few enough to forget within some minutes.
    private const int Most = 64;

    // Of what the guest as a whole does, for each time that landmines are counted, which is once a round.
    private const double Memory = 0.9;

    // A block is believed to get as many writes as the guest does, as if so many samples had said so: the rounds of either kind
    // are seldom alike, and a weight that swings costs moves.
    private const double PriorSamples = 16;

    // Accesses go with this power of the pages in use: with 1 each page would get as many, with 0 each block. It is half-way, as
    // either is found in recordings, and halves what a wrong estimate does.
    private const double Evenness = 0.5;

    private static readonly double s_believedLog2 = UsedPages.Log2(distinct: 0, samples: 0);

    private readonly byte[] _samples = new byte[sizes.Length];
    private readonly byte[] _writes = new byte[sizes.Length];
    private readonly byte[] _weights = new byte[sizes.Length];
    private readonly List<int> _fresh = [];
    private Landmines _any;
    private Landmines _write;

    /// <summary>Classes of <see cref="AccessWeight"/> that occur.</summary>
    public int Weights => sampled || glanced ? AccessWeight.Classes : 1;

    /// <summary>Whether there are samples.</summary>
    public bool IsSampled => sampled;

    /// <summary>How often the busiest pages are touched; null if there are no harvests that tell.</summary>
    public TouchRates? Rates { get; } = glanced ? new TouchRates(sizes.Length) : null;

    /// <summary>States in all of these classes.</summary>
    public int States => PageState.Weighted(0, Weights);

    /// <summary>The class of a block, as of the last <see cref="Weigh"/>.</summary>
    public byte Weight(int block) => _weights[block];

    /// <summary>The class of a page in a state by itself: pages that were found accessed in all quarters have their own,
    /// where their rates are known.</summary>
    public byte Weight(int page, int own)
    {
        int block = page / PageSizes.BlockPages;
        return HasRates(block) && PageState.IsInAllQuarters(own) ? Rates!.Weight(page, _weights[block]) : _weights[block];
    }

    /// <summary>The weighted state of a page.</summary>
    public int StateOf(int page)
    {
        int state = history.State(page);
        return PageState.Weighted(state, Weight(page, state % PageState.Own));
    }

    /// <summary>Whether pages of a block that are alike may have unlike weights.</summary>
    public bool HasRates(int block) => Rates is not null && Rates.Has(block);

    /// <summary>Samples that are remembered of a block that is mapped as one, of pages that were sampled before.</summary>
    public int Repeats(int block) => _samples[block] <= 1 ? 0 : _samples[block] - Math.Max(1, DistinctOf(block));

    /// <summary>How many pages of a block that is mapped as one are in use, by its samples.</summary>
    public double Used(int block) => Math.Pow(2, UsedPages.Log2(DistinctOf(block), _samples[block]));

    /// <summary>Takes in a sample of any access.</summary>
    public void Add(int page)
    {
        _any = _any with { Samples = _any.Samples + 1 };
        int block = page / PageSizes.BlockPages;
        _fresh.Add(block);
        if (_samples[block] == Most)
            Age(block);
        _samples[block]++;
        int offset = page % PageSizes.BlockPages;
        if (sizes[block] == MappingSize.Size2M && offset > 0 && SamplesOf(block)[offset - 1] < Most)
            SamplesOf(block)[offset - 1]++;
    }

    /// <summary>Takes in a sample by a landmine that only a write steps on.</summary>
    public void AddWrite(int page)
    {
        _write = _write with { Samples = _write.Samples + 1 };
        int block = page / PageSizes.BlockPages;
        _fresh.Add(block);
        if (_writes[block] < byte.MaxValue)
            _writes[block]++;
    }

    /// <summary>Takes in how many landmines were laid, of which those that were stepped on brought samples.</summary>
    public void CountLandmines(double any, double write)
    {
        _any = _any.Then(any);
        _write = _write.Then(write);
    }

    /// <summary>Works out the weight of each block that was sampled since the last time.</summary>
    /// <param name="writeWeight">Reads that a write weighs as much as.</param>
    /// <param name="isSplitInstead">Whether a block is split where few of its pages are in use, and not to go as a whole.</param>
    public void Weigh(double writeWeight, Func<int, bool> isSplitInstead)
    {
        // As if as many of both kinds had been laid.
        double perWrite = _write.Laid > 0 ? _any.Laid / _write.Laid : 0;
        double guestWrites = _any.Samples > 0 ? Math.Min(1, perWrite * _write.Samples / _any.Samples) : 0;
        double guest = 1 + ((writeWeight - 1) * guestWrites);
        foreach (int block in _fresh)
        {
            double writes = ((perWrite * _writes[block]) + (PriorSamples * guestWrites)) / (_samples[block] + PriorSamples);
            double weight = Math.Log2((1 + ((writeWeight - 1) * Math.Min(1, writes))) / guest);
            // How much of a mapping is in use is a rough guess.
            bool isGuessed = sizes[block] == MappingSize.Size2M && !isSplitInstead(block);
            if (isGuessed)
                weight += Evenness * (UsedPages.Log2(DistinctOf(block), _samples[block]) - s_believedLog2);
            _weights[block] = AccessWeight.ClassOf(weight, _weights[block], isGuessed);
        }
        _fresh.Clear();
    }

    /// <summary>Takes in that a block is no longer mapped as one: pages that were sampled keep its history.</summary>
    public void Split(int block)
    {
        int distinct = DistinctOf(block);
        double used = Used(block);
        double others = Math.Clamp((used - distinct) / (PageSizes.BlockPages - distinct), 0, 1);
        if (others < 0.5)
            history.SpreadToSampled(block * PageSizes.BlockPages, PageSizes.BlockPages, others);
        else
            history.Spread(block * PageSizes.BlockPages, PageSizes.BlockPages);
        Forget(block);
    }

    /// <summary>Takes in that a block is now mapped as one: it has the history of its hottest page.</summary>
    public void Join(int block)
    {
        history.Gather(block * PageSizes.BlockPages, PageSizes.BlockPages);
        Forget(block);
    }

    /// <summary>Forgets a block's samples, and rates; those of its pages are in their history.</summary>
    public void Forget(int block)
    {
        _samples[block] = _writes[block] = _weights[block] = 0;
        Rates?.Forget(block);
    }

    /// <summary>Takes over blocks that another planner of the domain had.</summary>
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
        HeatFileFormat.Require(!_samples.AsSpan().ContainsAnyExceptInRange((byte)0, (byte)Most), "number of samples");
        HeatFileFormat.Require(
            !_weights.AsSpan().ContainsAnyExceptInRange((byte)0, (byte)(AccessWeight.Classes - 1)), "weight of a block");
        _any = Landmines.Read(reader);
        _write = Landmines.Read(reader);
        if (!sampled)
            Array.Clear(_weights);
    }

    private Span<byte> SamplesOf(int block) => history.Samples(block * PageSizes.BlockPages, PageSizes.BlockPages);

    // But for the first one, which makes no difference.
    private int DistinctOf(int block)
    {
        Span<byte> samples = SamplesOf(block);
        return samples.Length - samples.Count((byte)0);
    }

    // Halves what is remembered. What is left over at a page goes to the next one, or pages sampled once would all be forgotten.
    private void Age(int block)
    {
        int ofFirst = _samples[block];
        int left = 0;
        if (sizes[block] == MappingSize.Size2M)
        {
            Span<byte> samples = SamplesOf(block);
            ofFirst = Math.Max(0, ofFirst - Sum(samples));
            int over = 0;
            foreach (ref byte count in samples)
            {
                over += count;
                count = (byte)(over / 2);
                over %= 2;
                left += count;
            }
        }
        _samples[block] = (byte)Math.Min(Most / 2, left + (ofFirst / 2));
        _writes[block] /= 2;
    }

    // Landmines laid lately, and what they brought.
    private readonly record struct Landmines(double Laid, double Samples)
    {
        // Between them, none of the quotients of two such numbers is infinite.
        private const double Least = 1e-30, Greatest = 1e30;

        public Landmines Then(double laid) => laid > 0 ? new((Laid * Memory) + laid, Samples * Memory) : this;

        public void Write(BinaryWriter writer)
        {
            writer.Write(Laid);
            writer.Write(Samples);
        }

        public static Landmines Read(BinaryReader reader)
        {
            Landmines read = new(reader.ReadDouble(), reader.ReadDouble());
            HeatFileFormat.Require(
                read.Laid is 0 or (>= Least and <= Greatest) && read.Samples is >= 0 and <= Greatest, "number of landmines");
            return read;
        }
    }

    private static int Sum(ReadOnlySpan<byte> samples)
    {
        int sum = 0;
        foreach (byte count in samples)
            sum += count;
        return sum;
    }
}
