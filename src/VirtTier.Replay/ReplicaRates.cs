// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay;

/// <summary>
/// How often each page of a trace is to be expected to be accessed in each round, and when for the first time: the mean of
/// replicas, traces of the same structure with other chance. A plan made from it knows all that could be known, but not which of
/// equally popular pages is accessed next.
/// </summary>
public sealed class ReplicaRates
{
    private readonly float[] _rate;
    private readonly int[] _first;
    private readonly int _rounds;
    private readonly int _replicas;

    /// <summary>The mean of replicas.</summary>
    /// <param name="trace">The trace to be replayed.</param>
    /// <param name="replicas">Others like it, cut into as many rounds; each is looked at once.</param>
    public ReplicaRates(Trace trace, IReadOnlyList<Func<Trace>> replicas)
    {
        ArgumentNullException.ThrowIfNull(trace);
        ArgumentNullException.ThrowIfNull(replicas);
        _rounds = trace.Rounds;
        _replicas = replicas.Count;
        _rate = new float[(long)trace.Pages * _rounds];
        _first = new int[(long)trace.Pages * _replicas];
        Array.Fill(_first, int.MaxValue);
        for (int replica = 0; replica < _replicas; replica++)
            Add(trace, replicas[replica](), replica);
    }

    /// <summary>Accesses expected of a page in a round.</summary>
    internal float Rate(int page, int round) => _rate[((long)page * _rounds) + round];

    /// <summary>The first round in which a page may be accessed; the last if in none.</summary>
    internal int FirstRound(int page) => Math.Min(_rounds - 1, _first.AsSpan(page * _replicas, _replicas).ToArray().Min());

    /// <summary>The chance (0..1) that a page that was not accessed before a round is accessed in it.</summary>
    internal double ChanceOfBirth(int page, int round)
    {
        int now = 0, later = 0;
        foreach (int first in _first.AsSpan(page * _replicas, _replicas))
        {
            now += first == round ? 1 : 0;
            later += first > round ? 1 : 0;
        }
        return now == 0 ? 0 : (double)now / (now + later);
    }

    private void Add(Trace trace, Trace other, int replica)
    {
        int[] here = new int[other.Pages];
        foreach ((ulong run, int page) in other.Runs)
            here[page] = trace.Runs.TryGetValue(run, out int same) ? same : -1;
        for (int round = 0; round < _rounds; round++)
        {
            for (int harvest = 0; harvest < other.Harvests; harvest++)
            {
                foreach (PageTouch touch in other.Slice(round, harvest))
                {
                    int page = here[touch.Page];
                    if (page < 0)
                        continue;
                    _rate[((long)page * _rounds) + round] += (float)touch.Count / _replicas;
                    ref int first = ref _first[(page * _replicas) + replica];
                    first = Math.Min(first, round);
                }
            }
        }
    }
}
