// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Traces;

/// <summary>How often each page is accessed in each round: what only a policy with foresight may look at.</summary>
internal sealed class TraceCounts
{
    private readonly List<(int Round, int Count)>[] _byPage;

    public TraceCounts(Trace trace)
    {
        Rounds = trace.Rounds;
        _byPage = new List<(int, int)>[trace.Pages];
        for (int page = 0; page < _byPage.Length; page++)
            _byPage[page] = [];
        for (int round = 0; round < trace.Rounds; round++)
        {
            for (int harvest = 0; harvest < trace.Harvests; harvest++)
            {
                foreach (PageTouch touch in trace.Slice(round, harvest))
                    Add(_byPage[touch.Page], round, touch.Count);
            }
        }
    }

    public int Rounds { get; }

    public int Pages => _byPage.Length;

    /// <summary>The rounds in which a page is accessed, in order, and how often.</summary>
    public IReadOnlyList<(int Round, int Count)> Of(int page) => _byPage[page];

    /// <summary>The round of a page's first access.</summary>
    public int FirstRound(int page) => _byPage[page][0].Round;

    public long Total(int page)
    {
        long total = 0;
        foreach ((int _, int count) in _byPage[page])
            total += count;
        return total;
    }

    private static void Add(List<(int Round, int Count)> rounds, int round, int count)
    {
        if (rounds.Count > 0 && rounds[^1].Round == round)
            rounds[^1] = (round, rounds[^1].Count + count);
        else
            rounds.Add((round, count));
    }
}
