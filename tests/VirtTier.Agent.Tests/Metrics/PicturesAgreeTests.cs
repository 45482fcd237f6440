// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;
using VirtTier.Agent.Metrics;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests.Metrics;

/// <summary>Status, metrics, heat map and the domain's own screen, of the same round: they tell of the same bytes, and these are
/// the host's.</summary>
public sealed class PicturesAgreeTests : IDisposable
{
    private const int Budget = 1024;
    private const long Page = 4096;

    private readonly FakeHost _host = new() { HotPages = [.. Enumerable.Range(0, 600).Select(i => i * 5)] };

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Status_metrics_heat_map_and_detail_tell_of_the_same_bytes()
    {
        DomainLoopContext context = _host.Context();
        await using DomainLoop loop = new(context, Domains.ThisProcess, Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => _host.FastPages <= Budget && _host.HotFastPages == _host.HotPages.Count);
        long rounds = loop.Status.Rounds;
        await Eventually.IsTrue(() => loop.Status.Rounds > rounds + 2);
        // No round comes after the last one now.
        loop.Update((Domains.Running() with { State = DomainState.Paused }).Orders(Budget));
        await Eventually.IsTrue(() => loop.Status.State == TieringState.Paused);
        DomainStatus status = loop.Status;
        long resident = status.FastBytes + status.SlowBytes;

        Assert.Equal(_host.FastPages * Page, status.FastBytes);
        Assert.Equal((FakeHost.GuestPages - _host.FastPages) * Page, status.SlowBytes);
        Assert.Equal(_host.HotPages.Count * Page, status.HotBytes);

        AgentStatus host =
            new("1.2.3", 1, new LibvirtStatus(true, null), context.Host.Status(), context.Host.PoolBytes, [status]);
        string page = Encoding.UTF8.GetString(await MetricsPage.RenderAsync(host, TestContext.Current.CancellationToken));
        Assert.Equal(status.FastBytes, Metric(page, "virttier_domain_resident_bytes", "fast"));
        Assert.Equal(status.SlowBytes, Metric(page, "virttier_domain_resident_bytes", "slow"));
        Assert.Equal(status.HotBytes, Metric(page, "virttier_domain_hot_bytes", ""));
        Assert.Equal(status.HotFastBytes, Metric(page, "virttier_domain_hot_fast_bytes", ""));
        Assert.Equal(status.BudgetBytes, Metric(page, "virttier_domain_budget_bytes", ""));

        DomainPictures pictures = new(context.Records, new DomainEvents(_host.Log, _host.Time), _host.Time);
        DomainDetail detail = pictures.Detail(status, loop.Curve);
        Assert.Equal(resident, detail.Nodes.Sum(n => n.Bytes));
        Assert.Equal(detail.Nodes, status.ByNode);
        Assert.Equal(resident, detail.Heat.Sum(h => h.FastBytes + h.SlowBytes));
        foreach (NodeBytes node in detail.Nodes)
            Assert.Equal(node.Bytes, Metric(page, "virttier_domain_node_resident_bytes", $"node=\"{node.Node}\""));

        DomainHeat heat = pictures.Heat(status, TimeSpan.FromHours(1))!;
        int rows = heat.Addresses.Count;
        IEnumerable<byte[]> seen = heat.Cells.Chunk(rows).Where(column => column.Any(cell => cell > 0));
        // A cell is a share in 254 steps.
        double rounding = rows * heat.RowBytes / 254.0;
        Assert.All(seen, column => Assert.InRange(
            column.Sum(cell => Math.Max(0, cell - 1) / 254.0 * heat.RowBytes),
            status.HotBytes - rounding, status.HotBytes + rounding));
        Assert.NotEmpty(seen);
    }

    // The one series with such a label.
    private static double Metric(string page, string name, string label) => double.Parse(
        Assert.Single(
            page.Split('\n'),
            line => line.StartsWith(name + "{", StringComparison.Ordinal) && line.Contains(label, StringComparison.Ordinal))
            .Split(' ')[^1],
        CultureInfo.InvariantCulture);
}
