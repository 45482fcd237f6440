// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent;

/// <summary>What is known of a domain beside its orders, published as a whole: all of it is of the same moment.</summary>
/// <param name="State">What is done with it.</param>
/// <param name="Reason">Why that is not all there is to do; null if it is.</param>
/// <param name="Figures">What its rounds found and did.</param>
/// <param name="Curve">How its slow accesses would fall with more DRAM; null while nothing is known.</param>
internal sealed record DomainReport(TieringState State, string? Reason, DomainFigures Figures, DramCurve? Curve)
{
    /// <summary>Before the sampler is attached.</summary>
    public static DomainReport Attaching { get; } = new(TieringState.Attaching, Reasons.Attaching, DomainFigures.None, null);
}
