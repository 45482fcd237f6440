// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Splitting;

/// <summary>How much may be split.</summary>
/// <param name="Share">Most blocks that may be split at the same time, of those that the domain has, 0..1.</param>
/// <param name="PerRound">Most splits and joins of one round, each.</param>
public readonly record struct SplitLimits(double Share, int PerRound);
