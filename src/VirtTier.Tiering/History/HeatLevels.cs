// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.History;

/// <summary>How hot pages are, in steps, for a histogram: 0 is "never accessed", the others are levels of heat.</summary>
public static class HeatLevels
{
    /// <summary>Number of steps.</summary>
    public const int Count = 1 + PageState.Levels;

    /// <summary>The least heat of a step: the share (0..1) of harvests that find the page accessed.</summary>
    public static double LeastHeat(int step) => step == 0 ? 0 : PageState.LeastHeat(step - 1);

    /// <summary>The step of a state of a page by itself.</summary>
    internal static int Of(int own) => PageState.IsUntouched(own) ? 0 : 1 + (own % PageState.Levels);
}
