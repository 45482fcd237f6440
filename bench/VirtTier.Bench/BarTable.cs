// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Bench;

/// <summary>What was measured against what was asked for.</summary>
internal sealed class BarTable
{
    private readonly List<(string Name, double Value, double Bar, bool AtLeast, bool MustPass)> _bars = [];

    public void AtLeast(string name, double value, double bar) => _bars.Add((name, value, bar, true, true));

    public void AtMost(string name, double value, double bar) => _bars.Add((name, value, bar, false, true));

    /// <summary>Something that is asked for and not reached yet: printed as the others are, without being a failure.</summary>
    public void GoalAtMost(string name, double value, double bar) => _bars.Add((name, value, bar, false, false));

    /// <summary>Prints the table.</summary>
    /// <returns>0 if every bar was passed, else 1.</returns>
    public int Print()
    {
        Console.WriteLine();
        bool allPassed = true;
        foreach ((string name, double value, double bar, bool atLeast, bool mustPass) in _bars)
        {
            bool passed = atLeast ? value >= bar : value <= bar;
            allPassed &= passed || !mustPass;
            string sign = atLeast ? ">=" : "<=";
            string verdict = passed ? "pass" : mustPass ? "FAIL" : "miss";
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{verdict}  {value,8:F3} {sign} {bar,-7:F3} {name}"));
        }
        return allPassed ? 0 : 1;
    }
}
