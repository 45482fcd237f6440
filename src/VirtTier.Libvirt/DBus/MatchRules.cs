// SPDX-License-Identifier: Apache-2.0
using Tmds.DBus.Protocol;

namespace VirtTier.Libvirt.DBus;

/// <summary>Reads match rules as the D-Bus specification writes them, e.g. <c>type='signal',sender='org.libvirt'</c>.</summary>
internal static class MatchRules
{
    /// <exception cref="ArgumentException">It is no match rule, or has a key that is not known here.</exception>
    internal static MatchRule Parse(string text)
    {
        MatchRule rule = new();
        foreach (string part in text.Split(','))
        {
            if (part.Split('=', 2) is not [var key, ['\'', .. var value, '\'']] || value.Contains('\'', StringComparison.Ordinal))
                throw new ArgumentException($"'{part}' in the match rule '{text}' is not of the form key='value'");
            switch (key)
            {
                case "type" when value == "signal":
                    rule.Type = MessageType.Signal;
                    break;
                case "sender":
                    rule.Sender = value;
                    break;
                case "path":
                    rule.Path = value;
                    break;
                case "path_namespace":
                    rule.PathNamespace = value;
                    break;
                case "interface":
                    rule.Interface = value;
                    break;
                case "member":
                    rule.Member = value;
                    break;
                case "arg0":
                    rule.Arg0 = value;
                    break;
                default:
                    throw new ArgumentException(
                        $"'{part}' in the match rule '{text}' is not known; type='signal', sender, path, path_namespace, "
                            + "interface, member and arg0 are");
            }
        }

        return rule;
    }
}
