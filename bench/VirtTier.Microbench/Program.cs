// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using VirtTier.Bench;
using VirtTier.Microbench;

// BenchmarkDotNet's options, e.g. --filter '*Mover*', --job Medium. Short runs in this process: a program that is generated and
// built for each benchmark takes longer than all of them. Exit status: 0 all ran and passed their bars, 1 not.
IConfig config = DefaultConfig.Instance
    .AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance).AsDefault())
    .AddDiagnoser(MemoryDiagnoser.Default)
    .WithArtifactsPath(Path.Combine("out", "microbench"));
BarTable bars = new();
bool allRan = true;
string[] options = args.Length > 0 ? args : ["--filter", "*"];
foreach (Summary summary in BenchmarkSwitcher.FromAssembly(typeof(HarvestBench).Assembly).Run(options, config))
{
    allRan &= !summary.HasCriticalValidationErrors && summary.Reports.All(report => report.Success);
    foreach (BenchmarkReport report in summary.Reports)
    {
        Descriptor benchmark = report.BenchmarkCase.Descriptor;
        if (benchmark.WorkloadMethod.GetCustomAttribute<BytesPerPageAttribute>() is { } bar)
        {
            long allocated = report.GcStats.GetBytesAllocatedPerOperation(report.BenchmarkCase) ?? long.MaxValue;
            bars.AtMost($"{benchmark.GetFilterName()}: bytes allocated a page", (double)allocated / bar.Pages, bar.Limit);
        }
    }
}
return bars.Print() == 0 && allRan ? 0 : 1;
