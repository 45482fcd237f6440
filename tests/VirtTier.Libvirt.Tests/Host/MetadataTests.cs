// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>Settings follow what virsh metadata says, by signal.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class MetadataTests : IAsyncLifetime
{
    private PrivateHost _host = null!;
    private WatchedHost _watched = null!;
    private int _shares = 100;

    public async ValueTask InitializeAsync()
    {
        _host = await PrivateHost.StartAsync("metadata");
        _watched = WatchedHost.ByHintsOf(_host);
        await _host.CreateAsync(new TestDomain("web1"));
        await _watched.UntilAsync("web1", d => d.Process is not null);
    }

    public async ValueTask DisposeAsync()
    {
        await _watched.DisposeAsync();
        await _host.DisposeAsync();
    }

    [Fact]
    public async Task Set_changed_and_removed()
    {
        Assert.Equal(TieringSettings.Default, _watched.Find("web1")!.Settings);

        await SetAsync("<tiering dram='32MiB' mode='observe'/>");
        await _watched.UntilAsync("web1",
            d => d.Settings is { Mode: TieringMode.Observe } s && s.Dram == SizeSpec.FromBytes(32 << 20));
        await SetAsync("<tiering dram='25%' shares='7' rate='10MiB/s'/>");
        await _watched.UntilAsync("web1",
            d => d.Settings is { Mode: null, Shares: 7, Rate.BytesPerSecond: 10 << 20 } s && s.Dram == SizeSpec.FromPercent(25));
        await _host.VirshAsync("metadata", "web1", "--uri", TieringSettings.MetadataNamespace, "--live", "--remove");
        await _watched.UntilAsync("web1", d => d.Settings == TieringSettings.Default);
    }

    [Fact]
    public async Task Bad_settings_are_named_and_the_last_good_ones_hold()
    {
        await SetAsync("<tiering dram='32MiB'/>");
        await _watched.UntilAsync("web1", d => d.Settings.Dram.IsSet);
        await SetAsync("<tiering dram='2000' colour='red'/>");
        await _watched.UntilAsync("web1", d => d.SettingsProblems.Count == 2);

        Assert.Equal(SizeSpec.FromBytes(32 << 20), _watched.Find("web1")!.Settings.Dram);
        Assert.Equal(["dram", "colour"], _watched.Find("web1")!.SettingsProblems.Select(p => p.Attribute));
        Assert.Single(_watched.Log.Lines, line => line.Contains("'2000' has no unit", StringComparison.Ordinal));

        await SetAsync("<tiering dram='16MiB'/>");
        await _watched.UntilAsync("web1", d => d.Settings.Dram == SizeSpec.FromBytes(16 << 20));
        Assert.Empty(_watched.Find("web1")!.SettingsProblems);
    }

    [Fact]
    public async Task A_hundred_kilobytes_of_nonsense_are_one_short_problem()
    {
        await SetAsync($"<tiering dram='{new string('9', 50_000)}'>{new string('x', 50_000)}</tiering>");
        await _watched.UntilAsync("web1", d => d.SettingsProblems.Count > 0);

        Assert.All(_watched.Find("web1")!.SettingsProblems, p => Assert.InRange(p.Message.Length + p.Value.Length, 1, 300));
        Assert.Equal(TieringSettings.Default, _watched.Find("web1")!.Settings);
    }

    [Fact]
    public async Task What_has_a_foreign_namespace_is_not_ours()
    {
        await SetAsync("<other:tiering xmlns:other='urn:other' dram='32MiB'/>");
        await SetSharesAndWaitAsync(); // a change that is seen, so that the one before had its chance

        await _host.VirshAsync(
            "metadata", "web1", "--uri", "urn:other", "--key", "o", "--live", "--set", "<tiering dram='32MiB'/>");
        await SetSharesAndWaitAsync();
        Assert.False(_watched.Find("web1")!.Settings.Dram.IsSet);
    }

    [Fact]
    public async Task The_config_copy_counts_from_the_next_start()
    {
        await _host.DefineAsync(new TestDomain("kept"));
        await _host.SetMetadataAsync("kept", "<tiering shares='7'/>", "--config");
        await _host.VirshAsync("start", "kept");
        await _watched.UntilAsync("kept", d => d.Settings.Shares == 7);

        await _host.SetMetadataAsync("kept", "<tiering shares='8'/>", "--config");
        await SetSharesAndWaitAsync();
        Assert.Equal(7, _watched.Find("kept")!.Settings.Shares);

        await _host.VirshAsync("destroy", "kept");
        await _host.VirshAsync("start", "kept");
        await _watched.UntilAsync("kept", d => d.Settings.Shares == 8);
    }

    private async Task SetSharesAndWaitAsync()
    {
        int shares = ++_shares;
        await _host.SetMetadataAsync("web1", $"<tiering shares='{shares}'/>");
        await _watched.UntilAsync("web1", d => d.Settings.Shares == shares);
    }

    private Task SetAsync(string element) => _host.SetMetadataAsync("web1", element);
}
