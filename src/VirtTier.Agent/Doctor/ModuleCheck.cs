// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory;
using VirtTier.Memory.Sampling;

namespace VirtTier.Agent.Doctor;

/// <summary>The kernel module: loaded, of this agent's ABI, and usable.</summary>
internal sealed class ModuleCheck : IDoctorCheck
{
    private const string Check = "module";

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
                GuestMemoryError.ModuleAbsent => Finding.Error(Check, "kvm_ept_sample is not loaded", InstallOrLoad(host)),
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
        return Finding.Ok(Check, $"kvm_ept_sample{version} is loaded and of this agent's ABI");
    }

    private static string InstallOrLoad(DoctorHost host)
    {
        string modules = host.At($"/lib/modules/{host.Read("/proc/sys/kernel/osrelease")}");
        bool installed = Directory.Exists(modules)
            && Directory.EnumerateFiles(modules, "kvm_ept_sample.ko*", SearchOption.AllDirectories).Any();
        return installed ? "modprobe kvm_ept_sample" : host.Install("kvm-ept-sample-dkms") + " && modprobe kvm_ept_sample";
    }
}
