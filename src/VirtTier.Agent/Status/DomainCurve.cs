// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using VirtTier.Primitives;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Status;

/// <summary>What <c>virttier curve</c> shows, as one JSON document: how a domain's slow accesses
/// would fall with more DRAM.</summary>
/// <param name="Name">libvirt's name of the domain.</param>
/// <param name="Uuid">libvirt's UUID of the domain.</param>
/// <param name="BudgetBytes">Most fast memory that it may hold.</param>
/// <param name="FastBytes">Fast memory that it holds.</param>
/// <param name="Error">
/// How far predicted shares of slow accesses were off of late, on average (0..1): each round's predictions against what then was
/// observed, where along the curve they were off most. Null until the first one came due.
/// </param>
/// <param name="AccessesPerSecond">Accesses expected of the domain, as far as accessed bits tell.</param>
/// <param name="Points">The curve's corners, from no DRAM at all to room for all its pages;
/// between two it is a straight line.</param>
internal sealed record DomainCurve(
    string Name, Guid Uuid, long BudgetBytes, long FastBytes, double? Error, double AccessesPerSecond,
    IReadOnlyList<CurvePoint> Points)
{
    /// <summary>The curve of a domain.</summary>
    public static DomainCurve Of(DomainStatus domain, DramCurve curve) => new(
        domain.Name,
        domain.Uuid,
        domain.BudgetBytes,
        domain.FastBytes,
        curve.WorstError < 1 ? Math.Round(curve.WorstError, Digits) : null,
        Math.Round(curve.TotalRate, 1),
        [.. curve.Corners().Select(
            corner => new CurvePoint(corner.Pages * PageSizes.PageBytes, Math.Round(corner.SlowShare, Digits)))]);

    // A millionth of the accesses is far below the error.
    private const int Digits = 6;

    /// <summary>The share (0..1) of accesses that goes slow with so much DRAM.</summary>
    public double SlowShare(long dramBytes)
    {
        for (int i = 1; i < Points.Count; i++)
        {
            (CurvePoint left, CurvePoint right) = (Points[i - 1], Points[i]);
            if (dramBytes <= right.DramBytes)
                return left.SlowShare
                    + ((right.SlowShare - left.SlowShare) * (dramBytes - left.DramBytes) / (right.DramBytes - left.DramBytes));
        }
        return Points[^1].SlowShare;
    }

    /// <summary>One line of JSON, as it travels over D-Bus.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, StatusJson.Default.DomainCurve);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="JsonException">The text is not a curve.</exception>
    public static DomainCurve FromJson(string json) =>
        JsonSerializer.Deserialize(json, StatusJson.Default.DomainCurve) is { Name: not null, Points.Count: > 0 } curve
            ? curve
            : throw new JsonException("it is not a whole curve");
}

/// <param name="DramBytes">With so much DRAM,</param>
/// <param name="SlowShare">this share (0..1) of the accesses goes to slow memory.</param>
internal readonly record struct CurvePoint(long DramBytes, double SlowShare);
