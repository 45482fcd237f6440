// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>The VMs of <see cref="VmiSettingsFile"/>. While that is away or damaged, those that it had last.</summary>
internal sealed class VmiAnnotations(Func<string> file, ILogger logger)
{
    private Dictionary<(string Namespace, string Name), VmiSettings> _vmis = [];
    private (DateTime WrittenAt, long Length) _stamp;
    private string? _problem;

    /// <summary>Reads the file, if it has changed.</summary>
    internal void Look()
    {
        string path = file();
        try
        {
            using SafeFileHandle handle = BoundedFile.OpenNoLink(path);
            (DateTime, long) stamp = (File.GetLastWriteTimeUtc(handle), RandomAccess.GetLength(handle));
            if (stamp == _stamp)
                return;
            _stamp = stamp; // also of what cannot be read: it is not read again
            _vmis = VmiSettingsFile.Parse(BoundedFile.ReadBytes(handle, path, VmiSettingsFile.MostBytes))
                .DistinctBy(vmi => (vmi.Namespace, vmi.Name)).ToDictionary(vmi => (vmi.Namespace, vmi.Name));
            _problem = null;
        }
        catch (FileNotFoundException)
        {
            // Nobody watches the API here, or does not yet.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            if (_problem is null)
                Log.AnnotationsUnreadable(logger, path, Shorten.Sentence(e.Message));
            _problem = e.Message;
        }
    }

    /// <summary>The VM that a pod's domain is.</summary>
    /// <param name="namespace">The pod's, as the kubelet has it; null where that is not known, and so nothing else is.</param>
    /// <param name="domain">The domain's name, which is that of namespace and VM.</param>
    internal VmiSettings? Find(string? @namespace, string domain) =>
        @namespace is null ? null : _vmis.GetValueOrDefault((@namespace, domain[(@namespace.Length + 1)..]));
}
