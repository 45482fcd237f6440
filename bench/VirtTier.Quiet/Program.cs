// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Bench;

// Without arguments: the bars. With them: so many guests are watched for so many seconds after others to settle, for a profiler.
switch (args)
{
    case []:
        BarTable bars = new();
        await QuietBench.RunAsync(bars);
        return bars.Print();
    case [QuietGuest.Verb, string mebibytes]:
        QuietGuest.Run(Parse(mebibytes));
        return 0;
    case [string guests, string settle, string seconds]:
        await QuietBench.WatchAsync(Parse(guests), TimeSpan.FromSeconds(Parse(settle)), TimeSpan.FromSeconds(Parse(seconds)));
        return 0;
    default:
        Console.Error.WriteLine("usage: VirtTier.Quiet [GUESTS SETTLE SECONDS]");
        return 2;
}

static int Parse(string text) => int.Parse(text, CultureInfo.InvariantCulture);
