// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Hook;
using VirtTier.Agent.Tests.Fakes;

namespace VirtTier.Agent.Tests;

public sealed class HookInstallerTests : IDisposable
{
    private const string Single = "/etc/libvirt/hooks/qemu", Own = "/etc/libvirt/hooks/qemu.d/virttier";
    private const string Foreign = "#!/bin/sh\necho mine\n";
    private static readonly Version s_recent = new(9, 0), s_old = new(6, 4);

    private readonly HostTree _tree = new();
    private readonly HookInstaller _installer;

    public HookInstallerTests() => _installer = new HookInstaller(_tree.Root);

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void The_first_hook_is_put_in_place_whole_and_libvirtd_must_be_told()
    {
        IReadOnlyList<string> lines = _installer.Install(s_recent);

        Assert.Equal(File.ReadAllText(Path.Combine(Repository.Root, "hooks", "qemu")), File.ReadAllText(_tree.At(Own)));
        Assert.True(File.GetUnixFileMode(_tree.At(Own)).HasFlag(UnixFileMode.OtherExecute));
        Assert.Contains("systemctl reload libvirtd", lines[^1], StringComparison.Ordinal);
        Assert.Equal(HookState.Installed, _installer.Look().State);
        Assert.Equal([_tree.At(Own)], Directory.GetFiles(_tree.At("/etc/libvirt/hooks"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void Beside_a_hook_of_others_nothing_of_theirs_is_touched_and_nobody_has_to_be_told()
    {
        _tree.Write(Single, Foreign).Write("/etc/libvirt/hooks/qemu.d/other", Foreign);

        Assert.Single(_installer.Install(s_recent));
        Assert.Single(_installer.Install(s_recent), line => line.EndsWith("is in place already", StringComparison.Ordinal));
        Assert.Single(_installer.Remove(), line => line.EndsWith("virttier removed", StringComparison.Ordinal));

        Assert.Equal(Foreign, File.ReadAllText(_tree.At(Single)));
        Assert.Equal(Foreign, File.ReadAllText(_tree.At("/etc/libvirt/hooks/qemu.d/other")));
        Assert.False(File.Exists(_tree.At(Own)));
        Assert.Equal("the hook is not installed", Assert.Single(_installer.Remove()));
    }

    [Fact]
    public void A_libvirt_that_runs_one_script_only_gets_it_there_unless_that_is_somebody_elses()
    {
        _installer.Install(s_old);
        Assert.Equal((HookState.Installed, _tree.At(Single)), _installer.Look());

        _installer.Install(s_recent); // after an update it moves
        Assert.Equal((HookState.Installed, _tree.At(Own)), _installer.Look());
        Assert.False(File.Exists(_tree.At(Single)));

        _tree.Write(Single, Foreign);
        HookException e = Assert.Throws<HookException>(() => _installer.Install(s_old));
        Assert.Contains("update libvirt to 6.5", e.Message, StringComparison.Ordinal);
        Assert.Equal(Foreign, File.ReadAllText(_tree.At(Single)));
    }

    [Fact]
    public void An_older_script_of_ours_is_updated_and_a_foreign_one_of_our_name_is_left()
    {
        _tree.Write(Own, HookInstaller.Script + "# older\n");
        File.SetUnixFileMode(_tree.At(Own), (UnixFileMode)0b111_101_101);
        Assert.Equal(HookState.Outdated, _installer.Look().State);
        _installer.Install(null);
        Assert.Equal(HookState.Installed, _installer.Look().State);

        File.SetUnixFileMode(_tree.At(Own), UnixFileMode.UserRead);
        Assert.Equal(HookState.NotExecutable, _installer.Look().State);
        File.Delete(_tree.At(Own));

        _tree.Write(Own, Foreign);
        Assert.Equal(HookState.Absent, _installer.Look().State);
        Assert.Throws<HookException>(() => _installer.Install(null));
        _installer.Remove();
        Assert.Equal(Foreign, File.ReadAllText(_tree.At(Own)));
    }
}
