// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay;

/// <summary>Fault samples of a replay.</summary>
/// <param name="PerRound">How many, as far as enough is accessed.</param>
/// <param name="WriteWeight">What a write to slow memory weighs, in reads.</param>
public sealed record ReplaySamples(int PerRound, double WriteWeight);
