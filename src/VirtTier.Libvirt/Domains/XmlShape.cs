// SPDX-License-Identifier: Apache-2.0
using System.Xml;

namespace VirtTier.Libvirt.Domains;

/// <summary>
/// Bounds of what is read of XML at all, looked at before anything whose time grows with the square of the depth sees it: what
/// reads it into a tree, and what copies an element of it.
/// </summary>
internal static class XmlShape
{
    // As far as libxml2 goes (256), where an element of metadata is read by itself and then lies two deeper.
    private const int MostDepth = 258;

    // The largest machines have some thousand.
    private const int MostElements = 100_000;

    /// <summary>Reads to the end, or until a bound is reached.</summary>
    /// <param name="reader">At the beginning.</param>
    /// <param name="what">What it is, for the message.</param>
    /// <param name="within">Elements that the domain is in.</param>
    /// <exception cref="FormatException">It is beyond a bound.</exception>
    /// <exception cref="XmlException">It is not XML.</exception>
    internal static void Check(XmlReader reader, string what, int within)
    {
        int elements = 0;
        while (reader.Read())
        {
            if (reader.Depth >= MostDepth + within)
                throw new FormatException($"{what} has elements within elements more than {MostDepth + within} deep");
            if (reader.NodeType == XmlNodeType.Element && ++elements > MostElements)
                throw new FormatException($"{what} has more than {MostElements} elements");
        }
    }
}
