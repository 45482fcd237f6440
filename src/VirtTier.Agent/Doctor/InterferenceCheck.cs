// SPDX-License-Identifier: Apache-2.0

using System.Globalization;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>What else in the kernel reads accessed bits, or moves or merges guests' pages.</summary>
internal sealed class InterferenceCheck : IDoctorCheck
{
    private const string Damon = "/sys/kernel/mm/damon/admin/kdamonds";
    private const string Huge = "/sys/kernel/mm/transparent_hugepage";

    // Parts of the kernel that run DAMON for themselves; where they are built in they have no other switch.
    private static readonly string[] s_damonModules = ["damon_stat", "damon_reclaim", "damon_lru_sort"];

    public Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel) =>
        Task.FromResult<IReadOnlyList<Finding>>(
            [NumaBalancing(host), .. AllDamon(host), Ksm(host), .. Khugepaged(host), .. OtherSizes(host)]);

    private static Finding NumaBalancing(DoctorHost host) => host.Read("/proc/sys/kernel/numa_balancing") is null or "0"
        ? Finding.Ok("numa balancing", "off")
        : Finding.Warning(
            "numa balancing",
            "automatic NUMA balancing takes pages out of the tables that VirtTier reads, and moves them on its own",
            "echo kernel.numa_balancing=0 > /etc/sysctl.d/60-virttier.conf && sysctl -p /etc/sysctl.d/60-virttier.conf");

    private static IEnumerable<Finding> AllDamon(DoctorHost host)
    {
        IEnumerable<string> threads = Directory.Exists(host.At(Damon))
            ? Directory.EnumerateDirectories(host.At(Damon)).Select(directory => Path.GetFileName(directory))
            : [];
        (string Name, string File, string Off)[] running =
        [
            .. s_damonModules.Select(module => (module, $"/sys/module/{module}/parameters/enabled", "N"))
                .Concat(threads.Select(number => ($"kdamond {number}", $"{Damon}/{number}/state", "off")))
                .Where(damon => host.IsOn(damon.Item2)),
        ];
        return running.Length == 0
            ? [Finding.Ok("damon", "takes no accessed bits away")]
            : running.Select(damon => Finding.Warning(
                "damon", $"{damon.Name} runs and clears accessed bits that VirtTier then misses",
                ShellLine.Write(damon.Off, damon.File)));
    }

    // Only where huge pages are split of any domain. The kernel takes no 0 for pages_to_scan, and makes huge pages at the first
    // touch however long khugepaged sleeps.
    private static IEnumerable<Finding> Khugepaged(DoctorHost host)
    {
        const string Sleep = Huge + "/khugepaged/scan_sleep_millisecs";
        bool splits = host.Config.Split.Share > 0 || host.Domains.Domains.Any(
            domain => EffectiveSettings.Of(domain, host.Config).Settings.Split is { Share: > 0 });
        if (!splits)
            return [];
        bool joins = uint.TryParse(host.Read(Sleep), NumberStyles.None, CultureInfo.InvariantCulture, out uint milliseconds)
            && milliseconds < TimeSpan.MillisecondsPerDay
            && host.Read(Huge + "/enabled")?.Contains("[never]", StringComparison.Ordinal) == false;
        return joins
            ? [Finding.Warning("khugepaged", "joins the huge pages that VirtTier splits, which then leaves them alone",
                ShellLine.Write(uint.MaxValue.ToString(CultureInfo.InvariantCulture), Sleep))]
            : [Finding.Ok("khugepaged", "leaves split huge pages as they are")];
    }

    // From Linux 6.8 on there is a folder for each size (Documentation/admin-guide/mm/transhuge.rst), with a file for anonymous
    // memory and one for memfd. QEMU asks for huge pages (MADV_HUGEPAGE), and so gets them of any size that is not off. Those of
    // 2 MiB are known, and moved as one.
    private static IEnumerable<Finding> OtherSizes(DoctorHost host)
    {
        string[] files =
        [
            .. (Directory.Exists(host.At(Huge)) ? Directory.EnumerateDirectories(host.At(Huge), "hugepages-*kB") : [])
                .Select(folder => Path.GetFileName(folder)).Where(size => size != "hugepages-2048kB")
                .SelectMany(size => new[] { $"{size}/enabled", $"{size}/shmem_enabled" }).Where(IsOn)
                .Order(StringComparer.Ordinal),
        ];
        return files.Select(file => Finding.Warning(
            "large pages",
            $"VMs get pages of {file["hugepages-".Length..file.IndexOf('/', StringComparison.Ordinal)]}, which the kernel "
                + "moves as one while VirtTier takes each 4 KiB for a page: those started without are placed better",
            ShellLine.Write("never", $"{Huge}/{file}")));

        bool IsOn(string file)
        {
            string? value = host.Read($"{Huge}/{file}");
            if (value?.Contains("[inherit]", StringComparison.Ordinal) == true)
                value = host.Read($"{Huge}/{Path.GetFileName(file)}");
            return value?.Contains("[never]", StringComparison.Ordinal) == false
                && !value.Contains("[deny]", StringComparison.Ordinal);
        }
    }

    private static Finding Ksm(DoctorHost host) => host.Read("/sys/kernel/mm/ksm/run") == "1"
        ? Finding.Warning(
            "ksm",
            $"merges pages of guests ({Shorten.ForMessage(host.Read("/sys/kernel/mm/ksm/pages_sharing") ?? "?")} merged now, "
                + "and they stay so until they are written): a merged page is in one place for all that share it",
            // Not 2: to part all that is merged at once may take more memory than there is.
            "systemctl disable --now ksmtuned ksm; echo 0 > /sys/kernel/mm/ksm/run")
        : Finding.Ok("ksm", "off");
}
