// SPDX-License-Identifier: Apache-2.0
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using VirtTier.Memory.Sampling;
using VirtTier.Memory.Tests.Fakes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Sampling;

/// <summary>The C compiler's view of the kernel module's header against the mirror in C#.</summary>
public sealed class AbiMirrorTests
{
    [Fact]
    public void Structs_and_numbers_are_those_of_the_header()
    {
        var expected = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var program = new StringBuilder("#include <stdio.h>\n#include <string.h>\n#include \"kvm_ept_sample.h\"\n"
            + "static unsigned long long record(unsigned long long gfn, unsigned int xwr) {\n"
            + "struct kvm_ept_sample_sample64 s = { .gfn = gfn, .xwr = xwr }; unsigned long long r; memcpy(&r, "
            + "&s, sizeof(r)); return r; }\n"
            + "int main(void) {\n");
        Struct<KvmEptSampleMemslot>("struct kvm_ept_sample_memslot");
        Struct<KvmEptSampleGetMemslots>("struct kvm_ept_sample_get_memslots");
        Struct<KvmEptSampleInfo>("struct kvm_ept_sample_info");
        Struct<KvmEptSampleHarvest>("struct kvm_ept_sample_harvest");
        Number("sizeof(struct kvm_ept_sample_sample64)", Unsafe.SizeOf<AccessSample>());
        Number("record(1, 0)", 1);
        Number("record((1ULL << 61) - 1, 0)", (1L << 61) - 1);
        foreach (AccessKinds kinds in new[] { AccessKinds.Read, AccessKinds.Write, AccessKinds.Execute })
            Number($"record(0, {(int)kinds})", unchecked((long)Record(kinds)));
        Number("KVM_EPT_SAMPLE_ABI_VERSION", KvmEptSampleAbi.Version);
        Number("KVM_EPT_SAMPLE_CMD_INIT", KvmEptSampleAbi.CmdInit);
        Number("KVM_EPT_SAMPLE_CMD_SET_PROT", KvmEptSampleAbi.CmdSetProt);
        Number("KVM_EPT_SAMPLE_CMD_SET_FREQ", KvmEptSampleAbi.CmdSetFreq);
        Number("KVM_EPT_SAMPLE_CMD_GET_MEMSLOTS", KvmEptSampleAbi.CmdGetMemslots);
        Number("KVM_EPT_SAMPLE_CMD_DEINIT", KvmEptSampleAbi.CmdDeinit);
        Number("KVM_EPT_SAMPLE_CMD_GET_INFO", KvmEptSampleAbi.CmdGetInfo);
        Number("KVM_EPT_SAMPLE_CMD_HARVEST", KvmEptSampleAbi.CmdHarvest);
        Number("KVM_EPT_SAMPLE_CMD_SET_RECORD", KvmEptSampleAbi.CmdSetRecord);
        Number("KVM_EPT_SAMPLE_PAGING_NPT", (long)GuestPaging.Npt);
        Number("KVM_EPT_SAMPLE_PAGING_EPT", (long)GuestPaging.Ept);
        Number("KVM_EPT_SAMPLE_INFO_AD", (long)SamplerFeatures.AccessedBits);
        Number("KVM_EPT_SAMPLE_INFO_FAULTS", (long)SamplerFeatures.FaultSampling);
        Number("KVM_EPT_SAMPLE_INFO_HOOK", (long)SamplerFeatures.KernelHook);
        Number("KVM_EPT_SAMPLE_INFO_DIRTY_LOG", (long)SamplerFeatures.DirtyLogging);
        Number("KVM_EPT_SAMPLE_INFO_GUEST", (long)SamplerFeatures.GuestAttached);
        Number("KVM_EPT_SAMPLE_INFO_NESTED", (long)SamplerFeatures.NestedGuests);
        Number("KVM_EPT_SAMPLE_INFO_NESTED_SEEN", (long)SamplerFeatures.NestedSeen);
        Number("KVM_EPT_SAMPLE_INFO_CONFIDENTIAL", (long)SamplerFeatures.Confidential);
        Number("KVM_EPT_SAMPLE_INFO_REPORT", (long)SamplerFeatures.HarvestReport);
        Number("KVM_EPT_SAMPLE_HARVEST_REPORT", (long)HarvestOptions.Report);
        Number("KVM_EPT_SAMPLE_HARVEST_CLEAR", (long)HarvestOptions.Clear);
        Number("KVM_EPT_SAMPLE_HARVEST_FLUSH", (long)HarvestOptions.Flush);
        Number("KVM_EPT_SAMPLE_SIZE_NONE", (long)MappingSize.None);
        Number("KVM_EPT_SAMPLE_SIZE_4K", (long)MappingSize.Size4K);
        Number("KVM_EPT_SAMPLE_SIZE_2M", (long)MappingSize.Size2M);
        Number("KVM_EPT_SAMPLE_SIZE_1G", (long)MappingSize.Size1G);
        program.Append("puts(KVM_EPT_SAMPLE_PATH \"=0\");\nreturn 0; }\n");
        expected[KvmEptSampleAbi.Path] = 0;

        Assert.Equal(expected, CompileAndRun(program.ToString()));

        void Number(string expression, long value)
        {
            expected[expression] = value;
            program.Append(
                CultureInfo.InvariantCulture,
                $"printf(\"%s=%lld\\n\", \"{expression}\", (long long)({expression}));\n");
        }

        void Struct<T>(string name)
            where T : unmanaged
        {
            Number($"sizeof({name})", Unsafe.SizeOf<T>());
            foreach (FieldInfo field in typeof(T).GetFields(BindingFlags.Instance | BindingFlags.Public))
                Number($"offsetof({name}, {SnakeCase(field.Name)})", Marshal.OffsetOf<T>(field.Name).ToInt64());
        }
    }

    /// <summary>The record that the mirror reads as an access of these kinds to frame 0.</summary>
    private static ulong Record(AccessKinds kinds)
    {
        for (int bit = 0; bit < 64; bit++)
        {
            if (new AccessSample(1UL << bit) is { Gfn: 0 } sample && sample.Kinds == kinds)
                return 1UL << bit;
        }
        return 0;
    }

    private static string SnakeCase(string name) =>
        string.Concat(name.Select(
            (c, i) => i > 0 && char.IsUpper(c) ? "_" + char.ToLowerInvariant(c) : char.ToLowerInvariant(c).ToString()));

    private static SortedDictionary<string, long> CompileAndRun(string program)
    {
        using var tree = new TempTree();
        tree.File("layout.c", program);
        string header = Path.Combine(RepositoryRoot(), "kernel-module/include/uapi");
        try
        {
            Run("gcc", "-Wall", "-Werror", "-I", header, "-o", tree.PathOf("layout"), tree.PathOf("layout.c"));
        }
        catch (Win32Exception)
        {
            Assert.Skip("gcc is not installed: the ABI mirror was NOT compared with the header (apt-get install gcc libc6-dev)");
        }

        var numbers = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (string line in Run(tree.PathOf("layout")).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = line.LastIndexOf('=');
            numbers[line[..equals]] = long.Parse(line[(equals + 1)..], CultureInfo.InvariantCulture);
        }

        return numbers;
    }

    private static string Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(
            new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string errors = process.StandardError.ReadToEnd();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program}: {errors}");
        return output;
    }

    private static string RepositoryRoot([CallerFilePath] string here = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../.."));
}
