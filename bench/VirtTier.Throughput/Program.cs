// SPDX-License-Identifier: Apache-2.0
using VirtTier.Bench;

BarTable bars = new();
ThroughputBench.Run(bars);
return bars.Print();
