// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using VirtTier.Primitives;

namespace VirtTier.Agent.Configuration;

/// <summary>What a GiB of DRAM costs its owner.</summary>
/// <param name="PerGib">The price of a GiB.</param>
/// <param name="Currency">What it is in; empty where the configuration does not say.</param>
internal sealed record DramCost(double PerGib, string Currency)
{
    private const int LongestCurrency = 8;

    /// <summary>Reads such as <c>4.20 EUR</c> or <c>4.20</c>.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out DramCost? cost)
    {
        string[] parts = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        cost = parts is [string number, .. { Length: <= 1 } currency]
            && decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal price)
            && Limits.DramCost.Allows(price) && currency.All(word => word.Length <= LongestCurrency && word.All(char.IsLetter))
            ? new DramCost((double)price, currency.FirstOrDefault(""))
            : null;
        return cost is not null;
    }

    /// <summary>What so much of it costs, such as <c>1,210 EUR</c>.</summary>
    public string Show(long bytes) => string.Create(
        CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 30) * PerGib:#,0} {Currency}").TrimEnd();
}
