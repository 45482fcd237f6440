// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>The kernel, and KVM with second-level page tables that have accessed bits.</summary>
internal sealed class KernelCheck : IDoctorCheck
{
    // The oldest kernel of the matrix in kernel-module/README.md.
    private static readonly Version s_oldest = new(6, 1);

    public Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel) =>
        Task.FromResult<IReadOnlyList<Finding>>([Kernel(host), Kvm(host)]);

    private static Finding Kernel(DoctorHost host)
    {
        string release = host.Read("/proc/sys/kernel/osrelease") ?? "unknown";
        string[] numbers = release.Split('.', '-');
        bool known = numbers.Length > 1
            && int.TryParse(numbers[0], NumberStyles.None, CultureInfo.InvariantCulture, out int major)
            && int.TryParse(numbers[1], NumberStyles.None, CultureInfo.InvariantCulture, out int minor)
            && new Version(major, minor) >= s_oldest;
        return known
            ? Finding.Ok("kernel", $"Linux {release}")
            : Finding.Error("kernel",
                $"Linux {Shorten.ForMessage(release)} is older than {s_oldest}, the oldest that the kernel module was shown on",
                host.Install("linux-image-amd64", "kernel"));
    }

    private static Finding Kvm(DoctorHost host)
    {
        const string Amd = "/sys/module/kvm_amd", Intel = "/sys/module/kvm_intel";
        if (host.Has(Amd))
        {
            return host.IsOn(Amd + "/parameters/npt")
                ? Finding.Ok("kvm", "AMD with nested page tables (NPT)")
                : Finding.Error("kvm", "nested page tables are off: guests have no accessed bits to read",
                    Reload("kvm_amd", "npt=1"));
        }
        if (host.Has(Intel))
        {
            if (!host.IsOn(Intel + "/parameters/ept"))
                return Finding.Error("kvm", "extended page tables (EPT) are off: guests have no accessed bits to read",
                    Reload("kvm_intel", "ept=1"));
            return host.IsOn(Intel + "/parameters/eptad")
                ? Finding.Ok("kvm", "Intel with extended page tables (EPT) and accessed bits")
                : Finding.Error("kvm", "the accessed bits of extended page tables (EPT) are off, or this processor has none",
                    Reload("kvm_intel", "eptad=1"));
        }
        string flags = host.Read("/proc/cpuinfo") ?? "";
        string? module = flags.Contains(" svm", StringComparison.Ordinal) ? "kvm_amd"
            : flags.Contains(" vmx", StringComparison.Ordinal) ? "kvm_intel" : null;
        return module is null
            ? Finding.Error("kvm", "the processor offers no virtualization: it has none, or the firmware hides it", FirmwareSetup)
            : Finding.Error("kvm", "KVM is not loaded", $"modprobe {module}");
    }

    // pgrep's status is 1 where it finds nothing: guests can run without virtualization, too.
    private const string FirmwareSetup = "pgrep qemu; test $? -eq 1 && systemctl reboot --firmware-setup";

    // modprobe -r refuses while a guest runs.
    private static string Reload(string module, string option) =>
        $"echo 'options {module} {option}' > /etc/modprobe.d/virttier-kvm.conf && modprobe -r {module} && modprobe {module}";
}
