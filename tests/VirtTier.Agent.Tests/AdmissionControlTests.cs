// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests;

/// <summary>A pool of 4 GiB.</summary>
public sealed class AdmissionControlTests
{
    private readonly Dictionary<DomainKey, long> _running = [];
    private readonly AdmissionControl _admission;
    private AgentConfig _config = new();

    public AdmissionControlTests() =>
        _admission = new AdmissionControl(() => new PoolPromises(4L << 30, _running, _config), TimeProvider.System);

    [Fact]
    public void What_fits_may_start_to_the_last_byte()
    {
        _running[new("libvirt", $"{_running.Count}")] = 1L << 30;

        Assert.Null(_admission.Admit(Domain("min='3GiB'")));
    }

    [Fact]
    public void What_does_not_fit_is_refused_with_the_numbers()
    {
        _running[new("libvirt", $"{_running.Count}")] = 1L << 30;
        _running[new("libvirt", $"{_running.Count}")] = 1L << 30;
        _running[new("libvirt", $"{_running.Count}")] = 0;

        string refusal = _admission.Admit(Domain("min='3GiB'"))!;

        Assert.StartsWith(
            "its min of 3 GiB of DRAM cannot be met: of the pool of 4 GiB, "
                + "2 GiB is promised to 2 other domains and 2 GiB is left; ",
            refusal, StringComparison.Ordinal);
        Assert.DoesNotContain(refusal, c => c is '"' or '\'' or '\\' or '\n' || c > 126);
    }

    [Fact]
    public void Domains_on_their_way_count_until_they_run_or_end()
    {
        DomainDefinition first = Domain("min='3GiB'"), second = Domain("min='3GiB'", "web2");
        Assert.Null(_admission.Admit(first));
        Assert.NotNull(_admission.Admit(second));
        Assert.Null(_admission.Admit(first)); // its own start, tried again, does not stand in its way

        _running[first.Key] = 3L << 30; // counted once
        Assert.Null(_admission.Admit(Domain("min='1GiB'", "web3")));

        _running.Clear();
        Assert.Null(_admission.Admit(first));
        _admission.Forget(first.Key);
        Assert.Null(_admission.Admit(second));
    }

    [Theory]
    [InlineData("")]
    [InlineData("dram='7GiB'")]
    [InlineData("min='7GiB' mode='off'")]
    [InlineData("min='7GiB' mode='observe'")]
    [InlineData("min='7'")]
    public void Only_a_minimum_that_holds_can_be_refused(string attributes) => Assert.Null(_admission.Admit(Domain(attributes)));

    [Fact]
    public void The_hosts_default_minimum_counts_too()
    {
        _config = new AgentConfig { Defaults = new TieringSettings { Min = SizeSpec.FromPercent(75) } };

        Assert.NotNull(_admission.Admit(Domain("")));
        Assert.Null(_admission.Admit(Domain("min='1GiB'")));
    }

    /// <summary>Of a domain that will never have what it asks for nothing is kept.</summary>
    [Fact]
    public void A_rule_holds_before_the_start_as_it_does_after_it()
    {
        SettingsRule rule = new("virttier.yaml:1", new Dictionary<string, IReadOnlyList<string>> { ["name"] = ["web*"] },
            new TieringSettings { Min = SizeSpec.FromPercent(75) }, new TieringSettings { Dram = SizeSpec.Parse("1GiB") }, true);
        _running[new("libvirt", "other")] = 3L << 30;
        _config = new AgentConfig { Rules = [rule] };
        Assert.Null(_admission.Admit(Domain("min='7GiB'"))); // cut to 1 GiB
        Assert.NotNull(_admission.Admit(Domain("min='1GiB'", "web2"))); // which is promised now

        _config = new AgentConfig { Rules = [rule with { Limit = TieringSettings.Default, OwnerCounts = false }] };
        Assert.NotNull(_admission.Admit(Domain("min='1MiB' mode='off'"))); // the rule's min, whatever the owner says
        Assert.Null(_admission.Admit(Domain("min='1MiB'", "db")));
    }

    [Fact]
    public void The_hook_gets_its_answer_from_the_file_and_what_cannot_be_read_may_start()
    {
        string file = Path.GetTempFileName();
        using HookListener hook = new(_admission, () => { }, TimeProvider.System, NullLogger.Instance);

        Assert.Null(hook.Admit("web1", "/nonexistent"));
        Assert.Null(hook.Admit("web1", file)); // empty
        File.WriteAllText(file, Xml("min='5GiB'"));
        Assert.StartsWith("its min of 5 GiB", hook.Admit("web1", file), StringComparison.Ordinal);
        File.Delete(file);
    }

    [Fact]
    public void The_files_tell_the_hook_what_the_agent_wants_and_go_with_it()
    {
        string parent = Directory.CreateTempSubdirectory("virttier-test-").FullName, run = Path.Combine(parent, "virttier");
        string mark = Path.Combine(run, "admission-control"), spool = Path.Combine(run, "hook");
        using (HookDirectory directory = HookDirectory.Create(run, out _)!)
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(spool));
            Assert.False(File.Exists(mark));
            Assert.Null(directory.SetAdmissionControl(true));
            Assert.True(File.Exists(mark));
            Assert.Null(directory.SetAdmissionControl(false));
            Assert.False(File.Exists(mark));
            Assert.Null(directory.SetAdmissionControl(true));
            File.WriteAllText(Path.Combine(spool, "started.1"), "left by a killed hook");
        }

        Assert.Empty(Directory.GetFileSystemEntries(run));
        Assert.Null(HookDirectory.Create("/proc/virttier", out string? problem));
        Assert.Contains("/proc/virttier", problem, StringComparison.Ordinal);
        Directory.Delete(parent, recursive: true);
    }

    private static DomainDefinition Domain(string attributes, string name = "web1") =>
        DomainDefinition.Parse(Xml(attributes, name));

    private static string Xml(string attributes, string name = "web1") => $"""
        <domain type='kvm'><name>{name}</name><uuid>{Guid.NewGuid()}</uuid><memory unit='GiB'>8</memory>
          <metadata><v:tiering xmlns:v='{TieringSettings.MetadataNamespace}' {attributes}/></metadata>
        </domain>
        """;
}
