// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Heat;

/// <summary>How many of a block's 512 pages are in use, from how many distinct ones its samples were of.</summary>
/// <remarks>
/// Of n accesses to D pages, each as likely as the other, m are distinct with a chance in proportion to D! / ((D - m)! D^n). The
/// estimate is the mean of log2 D under that, with D a power of two and most blocks believed to be in use as a whole. Where some
/// of the pages get more than others, it is nearer to the number of those that get most, and rightly so.
/// </remarks>
internal static class UsedPages
{
    // All of a block's.
    private const int GreatestLog2 = 9;

    // Fewer are not told apart: below, the accesses of each page may be more by as much as there are fewer pages.
    private const int LeastLog2 = 3;

    // Until samples show otherwise a block is in use as a whole; one that is not shows it soon, by the same pages again.
    private const double BelievedWhole = 0.9;

    private static readonly double[][] s_falling = Falling();

    /// <summary>The mean of log2 of the number of pages in use.</summary>
    /// <param name="distinct">Pages that the samples were of.</param>
    /// <param name="samples">Samples, at least as many.</param>
    public static double Log2(int distinct, int samples)
    {
        Span<double> likelihood = stackalloc double[GreatestLog2 + 1];
        double most = double.NegativeInfinity;
        for (int log2 = LeastLog2; log2 <= GreatestLog2; log2++)
        {
            double believed = log2 == GreatestLog2 ? BelievedWhole : (1 - BelievedWhole) / (GreatestLog2 - LeastLog2);
            likelihood[log2] = distinct <= 1 << log2
                ? Math.Log(believed) + s_falling[log2][distinct] + ((distinct - samples) * log2 * Math.Log(2))
                : double.NegativeInfinity;
            most = Math.Max(most, likelihood[log2]);
        }
        double sum = 0, weighted = 0;
        for (int log2 = LeastLog2; log2 <= GreatestLog2; log2++)
        {
            double weight = Math.Exp(likelihood[log2] - most);
            sum += weight;
            weighted += weight * log2;
        }
        return weighted / sum;
    }

    // ln(D! / ((D - m)! D^m)) for each log2 D and m.
    private static double[][] Falling()
    {
        double[][] all = new double[GreatestLog2 + 1][];
        for (int log2 = 0; log2 <= GreatestLog2; log2++)
        {
            int pages = 1 << log2;
            double[] logs = all[log2] = new double[pages + 1];
            for (int distinct = 1; distinct <= pages; distinct++)
                logs[distinct] = logs[distinct - 1] + Math.Log(1 - ((distinct - 1.0) / pages));
        }
        return all;
    }
}
