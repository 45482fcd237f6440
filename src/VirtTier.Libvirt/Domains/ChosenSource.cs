// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>The source that is asked for: of <see cref="LibvirtSource.Auto"/>, libvirt-dbus where it is there and libvirt's files
/// while it is not. Both give one picture, so that a change of the source is none of the domains.</summary>
internal sealed class ChosenSource(IDomainSource dbus, IDomainSource files) : IDomainSource
{
    private volatile int _asked;
    private IDomainSource? _chosen;

    /// <summary>What is asked for, from the next look on.</summary>
    internal LibvirtSource Asked
    {
        get => (LibvirtSource)_asked;
        set => _asked = (int)value;
    }

    private IDomainSource Chosen => _chosen ?? dbus;

    public LibvirtSource? Kind => IsAsked ? Chosen.Kind : LibvirtSource.Off;

    public bool IsAsked => Asked != LibvirtSource.Off;

    public void Dispose()
    {
        dbus.Dispose();
        files.Dispose();
    }

    public RunningDomain[] ToSortedArray() => IsAsked ? Chosen.ToSortedArray() : [];

    public void FollowHints()
    {
        dbus.FollowHints();
        files.FollowHints();
    }

    public async Task LookAsync(PendingWork.Marks marks, CancellationToken cancel)
    {
        LibvirtSource asked = Asked;
        if (asked == LibvirtSource.Off)
            return;
        _chosen = asked == LibvirtSource.Files ? files : dbus;
        try
        {
            await _chosen.LookAsync(marks, cancel).ConfigureAwait(false);
        }
        catch (LibvirtUnavailableException e) when (asked == LibvirtSource.Auto && e.IsServiceMissing)
        {
            // To have asked costs nothing where nobody answers: the bus itself says so.
            _chosen = files;
            try
            {
                await files.LookAsync(marks, cancel).ConfigureAwait(false);
            }
            catch (LibvirtUnavailableException without)
            {
                throw new LibvirtUnavailableException($"{e.Message}, and {without.Message}");
            }
        }
    }
}
