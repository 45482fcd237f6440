// SPDX-License-Identifier: Apache-2.0
using FsCheck;
using FsCheck.Fluent;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Numa;
using VirtTier.Primitives;
using VirtTier.TestSupport;

namespace VirtTier.Memory.Tests;

/// <summary>Pages, bytes, rates and times over their whole range: a result or a refusal, never another number.</summary>
public sealed class PageNumberProperties
{
    private const ulong MostBytes = 1UL << 52;

    /// <summary>Numbers of every magnitude, and those beside the powers of two.</summary>
    private static readonly Gen<ulong> s_any = Gen.OneOf(
        Gen.Choose(0, 63).SelectMany(bits => Gen.Choose(-1, 1).Select(near => unchecked((1UL << bits) + (ulong)(long)near))),
        Gen.Choose(0, 63).SelectMany(bits => Gen.Choose(0, int.MaxValue).SelectMany(
            high => Gen.Choose(0, int.MaxValue).Select(low => (((ulong)high << 33) ^ (ulong)low) & (ulong.MaxValue >> bits)))));

    [Fact]
    public void A_guests_frames_have_an_index_an_address_and_come_back() => Holds(
        Slot().SelectMany(first => Slot().Select(second => (first, second))), x =>
        {
            GuestLayout layout;
            try
            {
                layout = GuestLayout.FromMemslots([x.first, x.second]);
            }
            catch (GuestMemoryException)
            {
                return true;
            }
            return layout.PageCount % PageSizes.BlockPages == 0 && layout.BackedPageCount <= layout.PageCount
                && Sample(layout.PageCount).All(index => layout.IndexOf(layout.GfnOf(index)) == index)
                && layout.Backed.All(range => range.HvaOf(range.EndIndex - 1) - range.Hva == (ulong)(range.PageCount - 1) * 4096);
        });

    [Fact]
    public void What_a_node_says_of_its_memory_is_that_many_bytes_or_nothing() => Holds(s_any, kibibytes =>
    {
        long? bytes = NodeFiles.Find(System.Text.Encoding.ASCII.GetBytes($"Node 0 MemTotal: {kibibytes} kB"), "MemTotal:"u8);
        return kibibytes <= MostBytes / 1024 ? bytes == (long)kibibytes * 1024 : bytes is null;
    });

    [Fact]
    public void A_rate_lets_pass_what_it_says_within_a_time_and_the_burst() => Holds(
        s_any.Where(rate => rate is >= 1 and <= MostBytes).SelectMany(
            rate => s_any.Where(amount => amount <= long.MaxValue).Select(amount => ((long)rate, (long)amount))), x =>
        {
            (long rate, long amount) = x;
            ManualTime time = new();
            TokenBucket bucket = new(time, rate);
            bucket.Charge(amount);
            TimeSpan delay = bucket.Delay();
            double seconds = (double)amount / rate;
            return bucket.LargestBatch >= 0 && delay >= TimeSpan.Zero
                && (delay == TokenBucket.LongestDelay || Math.Abs(delay.TotalSeconds - seconds) <= 0.41 + (seconds * 1e-6));
        });

    [Fact]
    public void A_batch_has_as_many_as_fit_into_the_time_and_never_none() => Holds(
        s_any.Where(ticks => ticks <= long.MaxValue).SelectMany(
            ticks => Gen.Choose(1, 1 << 20).Select(addresses => (TimeSpan.FromTicks((long)ticks), addresses))), x =>
        {
            BatchSizer sizer = new(TimeSpan.FromMilliseconds(20), first: 512, fewest: 16);
            for (int i = 0; i < 3; i++)
                sizer.Learn(x.addresses, x.Item1);
            return sizer.Next is >= 16 and <= 16384;
        });

    private static Gen<Memslot> Slot() => s_any.SelectMany(
        gpa => s_any.SelectMany(hva => s_any.Select(pages => new Memslot(gpa & ~4095UL, hva & ~4095UL, pages >> 20))));

    private static IEnumerable<int> Sample(int count) => count == 0 ? [] : [0, count / 3, count / 2, count - 1];

    private static void Holds<T>(Gen<T> values, Func<T, bool> property) =>
        Prop.ForAll(values.ToArbitrary(), property).Check(Config.QuickThrowOnFailure.WithMaxTest(1000).WithQuietOnSuccess(true));
}
