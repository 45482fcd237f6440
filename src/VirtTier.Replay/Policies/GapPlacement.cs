// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Replay.Policies;

/// <summary>Swaps slow pages for fast ones that are colder by a gap.</summary>
internal static class GapPlacement
{
    /// <summary>Promotes the hottest slow pages into free room, then against the coldest fast ones while
    /// these are colder by the gap.</summary>
    public static void Apply(ReplayPlacement placement, double[] heat, double gap)
    {
        List<int> hottest = [];
        List<int> coldest = [];
        for (int page = 0; page < heat.Length; page++)
        {
            if (placement.Residencies[page] == Residency.Fast)
                coldest.Add(page);
            else if (placement.Residencies[page] == Residency.Slow && heat[page] > 0)
                hottest.Add(page);
        }
        hottest.Sort((a, b) => heat[b] != heat[a] ? heat[b].CompareTo(heat[a]) : a.CompareTo(b));
        coldest.Sort((a, b) => heat[a] != heat[b] ? heat[a].CompareTo(heat[b]) : a.CompareTo(b));

        int cold = 0;
        foreach (int page in hottest)
        {
            if (placement.Fast == placement.Budget)
            {
                if (cold == coldest.Count || heat[page] <= gap * heat[coldest[cold]])
                    return;
                placement.Demote(coldest[cold++]);
            }
            placement.Promote(page);
        }
    }
}
