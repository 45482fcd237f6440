// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>The heat in a domain's metadata: whose it is, and when it counts.</summary>
public sealed class HeatMetadataTests : IDisposable
{
    private readonly FakeLibvirt _host = new();

    public void Dispose() => _host.Monitor.Dispose();

    private static string HeatOf(string text) => $"<h:heat xmlns:h='{HeatMetadata.Namespace}'>{text}</h:heat>";

    private FakeDomain Start(string metadata, bool incoming, int pid = 10)
    {
        FakeDomain domain = _host.StartDomain("web1", pid);
        domain.Metadata = metadata;
        Incoming(pid, incoming);
        return domain;
    }

    private void Incoming(int pid, bool incoming)
    {
        if (incoming)
            _host.Processes[pid] =
                _host.Processes[pid] with { Arguments = [.. _host.Processes[pid].Arguments, "-incoming", "defer"] };
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task It_counts_for_a_qemu_that_takes_over_memory_and_for_no_other(bool incoming)
    {
        Start(HeatOf(" AAAA ") + TestDomain.MetadataOf("shares='3'"), incoming);
        await _host.LookAsync();
        RunningDomain domain = _host.Find("web1")!;
        Assert.True(domain.HasHeat);
        Assert.Equal(3, domain.Settings.Shares);
        Assert.Equal(incoming ? "AAAA" : null, domain.CarriedHeat?.Take());
        Assert.Null(domain.CarriedHeat?.Take());
    }

    [Theory]
    [InlineData("<h:heat xmlns:h='urn:virttier:heat:1'/>")]
    [InlineData("<h:heat xmlns:h='urn:virttier:heat:1'>  </h:heat>")]
    [InlineData("<h:heat xmlns:h='urn:virttier:heat:2'>AAAA</h:heat>")]
    [InlineData("<h:cold xmlns:h='urn:virttier:heat:1'>AAAA</h:cold>")]
    [InlineData("<heat>AAAA</heat>")]
    public async Task None_is_none(string metadata)
    {
        Start(metadata, incoming: true);
        await _host.LookAsync();
        Assert.Null(_host.Find("web1")!.CarriedHeat);
        Assert.False(_host.Find("web1")!.HasHeat);
    }

    [Fact]
    public async Task Beside_it_settings_of_a_wrong_namespace_are_still_named_and_it_is_none()
    {
        FakeDomain domain = Start(HeatOf("AAAA"), incoming: true);
        await _host.LookAsync();
        Assert.Empty(_host.Find("web1")!.SettingsProblems);

        domain.Metadata += "<x:tiering xmlns:x='urn:virttier:tiering:2' dram='1MiB'/>";
        _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        Assert.Single(_host.Find("web1")!.SettingsProblems);
    }

    [Fact]
    public async Task What_is_written_while_it_runs_has_not_come_with_it_but_what_its_next_run_has_has()
    {
        FakeDomain domain = Start("", incoming: true);
        await _host.LookAsync();
        domain.Metadata = HeatOf("AAAA");
        _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        Assert.Null(_host.Find("web1")!.CarriedHeat);
        Assert.True(_host.Find("web1")!.HasHeat);

        _host.EndProcess(10);
        domain.RunId = 2;
        _host.StartProcess(domain, 11);
        Incoming(11, true);
        _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        Assert.Equal("AAAA", _host.Find("web1")!.CarriedHeat?.Take());
    }

    [Fact]
    public async Task A_change_of_the_heat_alone_has_nothing_read_again()
    {
        FakeDomain domain = Start("", incoming: false);
        await _host.LookAsync();
        int reads = _host.CountCalls("GetXMLDesc");
        _host.Bus.Raise("org.libvirt", domain.Path, FakeLibvirt.DomainInterface, "MetadataChange",
            new("is", 2, HeatMetadata.Namespace));
        await _host.LookAsync();
        Assert.Equal(reads, _host.CountCalls("GetXMLDesc"));
        _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        Assert.Equal(reads + 1, _host.CountCalls("GetXMLDesc"));
    }

    [Fact]
    public async Task It_is_written_live_alone_and_taken_away_in_both_copies_where_it_is_in_both()
    {
        FakeDomain domain = Start("", incoming: false);
        await _host.LookAsync();
        List<BusCall> written = [];
        _host.Instead = call =>
        {
            if (call.Member != "SetMetadata")
                return null;
            written.Add(call);
            return Task.FromResult(BusBody.Empty);
        };
        using HeatCarrier carrier = new(_host.Bus);
        RunningDomain running = _host.Find("web1")!;
        Assert.Null(await carrier.WriteAsync(running, "AAAA"));
        Assert.Null(await carrier.WriteAsync(running, null));
        domain.Metadata = HeatOf("AAAA");
        Assert.Null(await carrier.WriteAsync(running, null));

        object[][] expected =
        [
            [2, "<heat>AAAA</heat>", "virttier-heat", HeatMetadata.Namespace, 1u],
            [2, "<heat />", "virttier-heat", HeatMetadata.Namespace, 1u],
            [2, "<heat />", "virttier-heat", HeatMetadata.Namespace, 1u],
            [2, "<heat />", "virttier-heat", HeatMetadata.Namespace, 2u],
        ];
        Assert.Equal(expected, written.Select(call => call.Body.Values.ToArray()));
        Assert.All(written, call => Assert.Equal(domain.Path, call.Path));
    }

    [Fact]
    public async Task What_libvirt_refuses_is_told()
    {
        Start("", incoming: false);
        await _host.LookAsync();
        _host.Instead = call => call.Member == "SetMetadata" ? throw new BusException("org.libvirt.Error", "it has a job") : null;
        using HeatCarrier carrier = new(_host.Bus);
        Assert.Equal("it has a job", await carrier.WriteAsync(_host.Find("web1")!, "AAAA"));
    }
}
