// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>The kernel module: loaded, of this agent's ABI, and usable.</summary>
internal sealed class ModuleCheck : IDoctorCheck
{
    private const string Check = "module";
    private static readonly string[] s_ofHarvest = ["roots", "tables", "accessed"];

    public Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel) =>
        Task.FromResult<IReadOnlyList<Finding>>([Look(host)]);

    private static Finding Look(DoctorHost host)
    {
        try
        {
            // The factory opens the module's file and compares the ABI before it looks for a guest; this process has none.
            using IGuestSampler sampler = host.Samplers.Attach(Environment.ProcessId);
            return Usable(host);
        }
        catch (GuestMemoryException e)
        {
            return e.Kind switch
            {
                GuestMemoryError.NotAGuest => Usable(host),
                GuestMemoryError.ModuleAbsent => Absent(host),
                GuestMemoryError.ModuleIncompatible => Finding.Error(
                    Check, e.Message,
                    host.Reinstall("kvm-ept-sample-dkms") + " && rmmod kvm_ept_sample && modprobe kvm_ept_sample"),
                GuestMemoryError.NoPermission when !host.IsRoot => Finding.Warning(
                    Check, "kvm_ept_sample is loaded; whether it is of the right ABI only root can see", "sudo virttier doctor"),
                _ => Finding.Error(Check, e.Message, "rmmod kvm_ept_sample && modprobe kvm_ept_sample"),
            };
        }
    }

    private static Finding Usable(DoctorHost host)
    {
        string version = host.Read("/sys/module/kvm_ept_sample/version") is string text ? $" {text}" : "";
        string[] failed = [.. (host.Read("/sys/module/kvm_ept_sample/parameters/checks") ?? "")
            .Split('\n').Where(line => line.Contains(" failed: ", StringComparison.Ordinal))];
        if (failed.Length == 0)
            return Finding.Ok(Check, $"kvm_ept_sample{version} is loaded and of this agent's ABI");

        // The names are those of kernel-module/checks.h: what a harvest, too, relies on; nothing but a guest's own guests; a
        // real-time kernel; the rest.
        string what = string.Join(", ", failed);
        if (failed.Any(line => s_ofHarvest.Contains(line.Split(' ')[0])))
        {
            return Finding.Error(
                Check, $"kvm_ept_sample{version} does not know this kernel's KVM, and guests are not observed: {what}",
                "apt install --only-upgrade kvm-ept-sample-dkms");
        }
        if (Array.TrueForAll(failed, line => line.StartsWith("nested ", StringComparison.Ordinal)))
        {
            return Finding.Warning(
                Check,
                $"kvm_ept_sample{version} does not know this kernel's KVM, and guests that run guests are only observed: {what}",
                "apt install --only-upgrade kvm-ept-sample-dkms");
        }
        return Array.TrueForAll(failed, line => line.StartsWith("lock ", StringComparison.Ordinal))
            ? Finding.Warning(Check, $"kvm_ept_sample{version} is loaded; on a real-time kernel it does not sample faults",
                "apt install linux-image-amd64")
            : Finding.Warning(
                Check, $"kvm_ept_sample{version} does not know this kernel's KVM, and does not sample faults: {what}",
                "apt install --only-upgrade kvm-ept-sample-dkms");
    }

    private static Finding Absent(DoctorHost host)
    {
        const string Package = "kvm-ept-sample-dkms", Load = "modprobe kvm_ept_sample";
        const string NotLoaded = "kvm_ept_sample is not loaded";
        string release = host.Read("/proc/sys/kernel/osrelease") ?? "unknown";
        string modules = $"/lib/modules/{release}";
        if (host.Has(modules)
            && Directory.EnumerateFiles(host.At(modules), "kvm_ept_sample.ko*", SearchOption.AllDirectories).Any())
        {
            return Finding.Error(Check, NotLoaded, Load);
        }

        bool sources = host.Has("/usr/src") && Directory.EnumerateDirectories(host.At("/usr/src"), "kvm_ept_sample-*").Any();
        // The link that a kernel's package brings leads nowhere without them.
        if (!host.Has(modules + "/build/Makefile"))
        {
            // Their package has DKMS build what is installed; so they may come after it.
            return Finding.Error(
                Check, $"{NotLoaded}, and there are no headers of kernel {Shorten.ForMessage(release)} to build it with",
                $"{host.InstallHeaders(release)}{(sources ? "" : " " + Package)} && {Load}");
        }
        return Finding.Error(Check, NotLoaded, (sources ? host.Reinstall(Package) : host.Install(Package)) + " && " + Load);
    }
}
