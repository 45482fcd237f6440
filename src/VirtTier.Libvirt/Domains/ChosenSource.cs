// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>libvirt-dbus where it is there; libvirt's files while it is not. Both give one picture, so that a change of the
/// source is none of the domains.</summary>
internal sealed class ChosenSource(IDomainSource dbus, IDomainSource files) : IDomainSource
{
    private IDomainSource? _chosen;

    private IDomainSource Chosen => _chosen ?? dbus;

    public LibvirtSource Kind => Chosen.Kind;

    public void Dispose()
    {
        dbus.Dispose();
        files.Dispose();
    }

    public RunningDomain[] ToSortedArray() => Chosen.ToSortedArray();

    public void FollowHints()
    {
        dbus.FollowHints();
        files.FollowHints();
    }

    public async Task LookAsync(PendingWork.Marks marks, CancellationToken cancellation)
    {
        try
        {
            await dbus.LookAsync(marks, cancellation).ConfigureAwait(false);
            _chosen = dbus;
        }
        catch (LibvirtUnavailableException e) when (e.IsServiceMissing)
        {
            // Asking costs nothing where nobody answers: the bus itself says so.
            _chosen = files;
            try
            {
                await files.LookAsync(marks, cancellation).ConfigureAwait(false);
            }
            catch (LibvirtUnavailableException without)
            {
                throw new LibvirtUnavailableException($"{e.Message}, and {without.Message}");
            }
        }
        catch (LibvirtUnavailableException)
        {
            _chosen = dbus;
            throw;
        }
    }
}
