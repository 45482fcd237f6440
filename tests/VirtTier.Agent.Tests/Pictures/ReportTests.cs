// SPDX-License-Identifier: Apache-2.0
using System.IO.Compression;
using System.Text.Json;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Doctor;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.DBus;

namespace VirtTier.Agent.Tests.Pictures;

/// <summary><c>virttier report</c>: what it asks for, and how it puts that into its page.</summary>
public sealed class ReportTests
{
    private static readonly DateTimeOffset s_noon = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    private readonly SamplePictures _pictures = new();
    private readonly DomainStatus _web1;

    public ReportTests()
    {
        _pictures.Harvest(60, second => second / 8 % 8);
        _web1 = Domains.Running("8MiB").Orders(2048).Status(DomainFigures.None) with { Pid = SamplePictures.Process.Pid };
    }

    [Fact]
    public async Task All_that_can_be_asked_of_a_host_is_in_the_page()
    {
        JsonElement report = Unpack((await MakeAsync(_web1))!);

        Assert.Equal("host1", report.GetProperty("host").GetString());
        Assert.Equal(s_noon, report.GetProperty("made").GetDateTimeOffset());
        Assert.Equal("Ok", report.GetProperty("doctor").GetProperty("severity").GetString());
        JsonElement domain = Assert.Single(report.GetProperty("domains").EnumerateArray());
        Assert.Equal(_web1.Uuid.ToString(), domain.GetProperty("uuid").GetString());
        Assert.Equal(
            _web1.StateName, domain.GetProperty("detail").GetProperty("status").GetProperty("stateName").GetString());
        Assert.Equal(
            [5, 60, 600],
            domain.GetProperty("heat").EnumerateArray().Select(heat => heat.GetProperty("columnSeconds").GetInt32()));
    }

    [Fact]
    public async Task A_domain_that_ends_meanwhile_or_was_never_sampled_keeps_nobody_from_the_report()
    {
        DomainStatus ended = _web1 with { Name = "ended", Uuid = Guid.NewGuid() };
        DomainStatus unseen = _web1 with { Name = "unseen", Uuid = Guid.NewGuid(), Pid = null };

        JsonElement report = Unpack((await MakeAsync(ended, unseen, _web1))!);

        Assert.Equal(3, report.GetProperty("status").GetProperty("domains").GetArrayLength());
        JsonElement[] domains = [.. report.GetProperty("domains").EnumerateArray()];
        Assert.Equal([unseen.Uuid.ToString(), _web1.Uuid.ToString()], domains.Select(d => d.GetProperty("uuid").GetString()));
        Assert.Equal([0, 3], domains.Select(d => d.GetProperty("heat").GetArrayLength()));
    }

    [Fact]
    public async Task No_name_is_markup()
    {
        string page = (await MakeAsync(_web1 with { Name = "</script><b>" }))!;

        Assert.DoesNotContain("<b>", page);
        JsonElement domain = Assert.Single(Unpack(page).GetProperty("status").GetProperty("domains").EnumerateArray());
        Assert.Equal("</script><b>", domain.GetProperty("name").GetString());
    }

    [Fact]
    public async Task A_page_without_a_place_is_not_filled() => Assert.Null(await MakeAsync("<html></html>", _web1));

    private Task<string?> MakeAsync(params DomainStatus[] domains) => MakeAsync("<a>/* report */</a>", domains);

    private async Task<string?> MakeAsync(string page, params DomainStatus[] domains)
    {
        AgentStatus status = new("1.2.3", 5, new LibvirtStatus(true, null), [], 1 << 20, domains);
        await using FakeBus bus = new()
        {
            Answer = call =>
            {
                if (call.Member == AgentInterface.GetStatus)
                    return new BusBody("s", status.ToJson());
                DomainStatus domain = domains.Single(d => d.Uuid.ToString() == (string)call.Body.Values[0]);
                if (domain.Name == "ended")
                    throw new BusException(AgentInterface.NoSuchDomain, "it has ended");
                if (call.Member == AgentInterface.GetDetail)
                    return new BusBody("s", _pictures.Shown.Detail(domain, null).ToJson());
                return _pictures.Shown.Heat(domain, TimeSpan.FromSeconds((uint)call.Body.Values[1])) is { } heat
                    ? new BusBody("s", heat.ToJson())
                    : throw new BusException(AgentInterface.NoHeat, "not sampled yet");
            },
        };
        HostReport report = await HostReport.MakeAsync(
            new AgentClient(bus), new DoctorReport(Severity.Ok, [Finding.Ok("kernel", "fine")]), "host1", s_noon,
            TestContext.Current.CancellationToken);
        return report.Fill(page);
    }

    private static JsonElement Unpack(string page)
    {
        using MemoryStream packed = new(Convert.FromBase64String(page["<a>".Length..^"</a>".Length]));
        using GZipStream json = new(packed, CompressionMode.Decompress);
        using JsonDocument document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }
}
