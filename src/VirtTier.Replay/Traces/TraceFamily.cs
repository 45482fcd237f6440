// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Traces;

/// <summary>A kind of workload that makes a trace of its own: the same one each time, from a fixed seed.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Meaning">What it stands for, in a few words.</param>
/// <param name="CanGain">False where no placement is better than another, so that every move is wasted.</param>
/// <param name="Accesses">Makes the gfns of so many accesses, with a source of chance.</param>
public sealed record TraceFamily(string Name, string Meaning, bool CanGain, Func<Random, int, IEnumerable<int>> Accesses)
{
    // One access a microsecond: only proportions of time matter to a replay.
    private const long AccessNs = 1000;

    /// <summary>Makes the trace.</summary>
    /// <param name="accesses">Its length.</param>
    /// <param name="seed">Seed of its chance.</param>
    /// <param name="replica">
    /// With another number, the same pages are popular, but which of them is accessed next is drawn anew: families draw what is
    /// popular before the first access.
    /// </param>
    public IEnumerable<TraceAccess> Generate(int accesses, int seed, int replica = 0)
    {
        ReplicaRandom pages = new(seed);
        Random kinds = new(seed + 1);
        long time = 0;
        foreach (int gfn in Accesses(pages, accesses))
        {
            AccessKind kind = kinds.Next(20) switch
            {
                0 => AccessKind.Fetch,
                <= 5 => AccessKind.Write,
                _ => AccessKind.Read,
            };
            yield return new TraceAccess(time, (ulong)gfn, kind);
            time += AccessNs;
            if (replica > 0 && time == AccessNs)
                pages.Reseed(seed + replica);
        }
    }

    private sealed class ReplicaRandom(int seed) : Random
    {
        private Random _source = new(seed);

        public void Reseed(int other) => _source = new Random(other);

        public override int Next(int maxValue) => _source.Next(maxValue);

        public override int Next(int minValue, int maxValue) => _source.Next(minValue, maxValue);

        public override double NextDouble() => _source.NextDouble();
    }
}
