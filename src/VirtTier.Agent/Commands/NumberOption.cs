// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Globalization;
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary>Options that take a number. Help and errors say what it has to be within.</summary>
internal static class NumberOption
{
    /// <summary>A whole number.</summary>
    public static Option<int> Whole(string name, string description, Limit limit, int unlessGiven) =>
        Create<int>(name, description, limit, unlessGiven, "a whole number", text =>
            int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                && limit.Allows(number) ? number : null);

    /// <summary>A number with or without decimals; a share has its sign. One that has no default must be given.</summary>
    public static Option<double> Number(string name, string description, Limit limit, double? unlessGiven = null)
    {
        string sign = limit.Unit == LimitUnit.Percent ? "%" : "";
        return Create<double>(name, description, limit, unlessGiven, "a number", text =>
            text.EndsWith(sign, StringComparison.Ordinal)
                && decimal.TryParse(text.AsSpan(0, text.Length - sign.Length), NumberStyles.AllowDecimalPoint,
                    CultureInfo.InvariantCulture, out decimal number)
                && limit.Allows(number) ? (double)number : null);
    }

    /// <summary>A number that may be left out, or its whole option: null then.</summary>
    public static Option<double?> NumberOrBare(string name, string description, Limit limit, double bare)
    {
        Option<double> number = Number(name, description, limit);
        return new Option<double?>(name)
        {
            Description = number.Description,
            Arity = ArgumentArity.ZeroOrOne,
            CustomParser = result => result.Tokens.Count == 0 ? bare : number.CustomParser!(result),
        };
    }

    /// <summary>A number of bytes with its unit.</summary>
    public static Option<long> Size(string name, string description, Limit limit, long unlessGiven) =>
        Create<long>(name, description, limit, unlessGiven, "a size with a unit", text =>
            BinaryUnits.TryParse(text, limit, out ulong bytes, out _) ? (long)bytes : null);

    private static Option<T> Create<T>(
        string name, string description, Limit limit, T? unlessGiven, string what, Func<string, T?> read)
        where T : struct => new(name)
    {
        Description = $"{description} ({limit})",
        Required = unlessGiven is null,
        DefaultValueFactory = unlessGiven is { } value ? _ => value : null,
        CustomParser = result =>
        {
            string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (read(text) is { } given)
                return given;
            result.AddError($"{name} '{Shorten.ForMessage(text)}': must be {what} from {limit}");
            return default;
        },
    };
}
