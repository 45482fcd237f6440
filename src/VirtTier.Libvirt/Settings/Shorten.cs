// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Settings;

/// <summary>Fits foreign text into messages: metadata may be 100 kB of anything.</summary>
internal static class Shorten
{
    private const int Longest = 60;

    internal static string ForMessage(string text)
    {
        string oneLine = text.ReplaceLineEndings(" ");
        return oneLine.Length <= Longest ? oneLine : string.Concat(oneLine.AsSpan(0, Longest), "...");
    }
}
