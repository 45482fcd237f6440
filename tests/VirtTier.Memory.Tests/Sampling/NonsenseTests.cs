// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;
using VirtTier.Memory.Tests.Fakes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Sampling;

/// <summary>A kernel module that answers nonsense: it is said of whom it is, and nothing is counted with it.</summary>
public sealed class NonsenseTests : IDisposable
{
    private readonly FakeSamplerDevice _device = new() { Memslots = { new Memslot(0, 0x7f00_0000_0000, 1024) } };

    public static TheoryData<string, ulong> Fields
    {
        get
        {
            TheoryData<string, ulong> fields = [];
            // Of a harvest those that the module fills in.
            string[] filledIn = ["Next", "PagesPresent", "PagesAccessed", "PagesDirty", "Generation", "State", "Reserved"];
            foreach (FieldInfo place in typeof(KvmEptSampleInfo).GetFields().Concat(
                typeof(KvmEptSampleHarvest).GetFields().Where(place => filledIn.Contains(place.Name))))
            {
                foreach (ulong value in (ulong[])[0, 1, int.MaxValue, 1UL << 31, uint.MaxValue, long.MaxValue, 1UL << 63,
                    ulong.MaxValue])
                    fields.Add($"{place.DeclaringType!.Name}.{place.Name}", value);
            }
            return fields;
        }
    }

    public void Dispose() => _device.Dispose();

    [Theory]
    [MemberData(nameof(Fields))]
    public void Any_number_in_any_place_is_taken_or_refused(string name, ulong value)
    {
        string[] parts = name.Split('.');
        try
        {
            using KvmSampler sampler = KvmSampler.Attach(_device, "/proc/kvm_ept_sample", 4711);
            if (parts[0] == nameof(KvmEptSampleInfo))
                _device.Info = info => With(info, parts[1], value);
            else
                _device.Answer = answer => With(answer, parts[1], value);
            SamplerInfo read = sampler.GetInfo();
            Assert.True(read.Vcpus >= 0 && read.Memslots >= 0 && read.HarvestTime >= TimeSpan.Zero);
            GuestHarvester harvester = new(sampler, TimeProvider.System);
            harvester.Harvest();
        }
        catch (GuestMemoryException e)
        {
            Assert.Equal(GuestMemoryError.Failed, e.Kind);
            Assert.Matches("^the kernel module |^cannot harvest accessed bits for process 4711 ", e.Message);
            Assert.InRange(e.Message.Length, 1, 300);
        }
    }

    [Theory]
    [InlineData(0, 0, ulong.MaxValue)]
    [InlineData(0, ulong.MaxValue, 512)]
    [InlineData(ulong.MaxValue, 0, 512)]
    [InlineData(0, ulong.MaxValue - 4095, 1)]
    [InlineData(0, 0x7f00_0000_0000, 1UL << 52)]
    public void Memory_that_no_guest_can_have_is_refused(ulong gpa, ulong hva, ulong pages)
    {
        _device.Memslots.Add(new Memslot(gpa, hva, pages));
        using KvmSampler sampler = KvmSampler.Attach(_device, "/proc/kvm_ept_sample", 4711);
        GuestMemoryException e = Assert.Throws<GuestMemoryException>(() => new GuestHarvester(sampler, TimeProvider.System));
        Assert.Equal(GuestMemoryError.Failed, e.Kind);
        Assert.StartsWith($"the kernel module names memory that no guest can have: {pages} pages", e.Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(1UL << 31)]
    public void Memslots_without_end_are_not_asked_for(ulong count)
    {
        using KvmSampler sampler = KvmSampler.Attach(_device, "/proc/kvm_ept_sample", 4711);
        _device.MemslotCount = count;
        Assert.Contains("names more than 65535 memslots of process 4711",
            Assert.Throws<GuestMemoryException>(() => sampler.GetMemslots()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Samples_beyond_the_buffer_are_refused()
    {
        using KvmSampler sampler = KvmSampler.Attach(_device, "/proc/kvm_ept_sample", 4711);
        _device.ReadBytes = int.MaxValue;
        Assert.Throws<GuestMemoryException>(() => sampler.ReadSamples(new AccessSample[8]));
    }

    [Fact]
    public void A_size_that_no_mapping_has_is_refused()
    {
        using KvmSampler sampler = KvmSampler.Attach(_device, "/proc/kvm_ept_sample", 4711);
        GuestHarvester harvester = new(sampler, TimeProvider.System);
        Assert.True(harvester.Harvest());
        _device.Size = MappingSize.Size1G + 1;
        Assert.Contains("sizes of mappings that there are not",
            Assert.Throws<GuestMemoryException>(() => harvester.Harvest()).Message, StringComparison.Ordinal);
    }

    private static T With<T>(T answer, string field, ulong value)
        where T : struct
    {
        FieldInfo changed = typeof(T).GetField(field)!;
        object boxed = answer;
        changed.SetValue(boxed, changed.FieldType == typeof(uint) ? (object)unchecked((uint)value) : value);
        return (T)boxed;
    }
}
