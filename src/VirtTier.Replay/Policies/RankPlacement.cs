// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Replay.Policies;

/// <summary>Makes DRAM hold the pages of the highest score.</summary>
internal static class RankPlacement
{
    /// <summary>
    /// Moves pages until those of the highest score are fast. Pages of score 0 are not promoted, and among equals those
    /// that are fast stay.
    /// </summary>
    public static void Apply(ReplayPlacement placement, double[] score)
    {
        List<int> ranked = [];
        for (int page = 0; page < score.Length; page++)
        {
            if (placement.Residencies[page] != Residency.Absent)
                ranked.Add(page);
        }
        ranked.Sort((a, b) =>
        {
            int byScore = score[b].CompareTo(score[a]);
            if (byScore != 0)
                return byScore;
            int byTier = placement.IsFast(b).CompareTo(placement.IsFast(a));
            return byTier != 0 ? byTier : a.CompareTo(b);
        });

        int promotions = 0;
        for (int i = 0; i < Math.Min(placement.Budget, ranked.Count); i++)
        {
            if (!placement.IsFast(ranked[i]) && score[ranked[i]] > 0)
                promotions++;
        }
        int wanted = promotions;
        for (int i = ranked.Count - 1; i >= 0 && placement.Budget - placement.Fast < wanted; i--)
        {
            if (placement.IsFast(ranked[i]))
                placement.Demote(ranked[i]);
        }
        for (int i = 0; promotions > 0; i++)
        {
            if (placement.IsFast(ranked[i]))
                continue;
            placement.Promote(ranked[i]);
            promotions--;
        }
    }
}
