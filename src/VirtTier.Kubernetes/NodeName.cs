// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Kubernetes;

/// <summary>Names of nodes, which are the values of a label: letters, digits, <c>-</c>, <c>_</c> and <c>.</c>.</summary>
internal static class NodeName
{
    private const int Longest = 253;

    /// <summary>Whether a text may be one. Another could select more than the VMs of one node.</summary>
    internal static bool IsOne(string text) =>
        text.Length is > 0 and <= Longest && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
}
