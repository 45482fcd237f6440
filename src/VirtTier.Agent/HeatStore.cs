// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt;
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>
/// What was learned of each domain's pages, a file a domain, so that an agent that starts again goes on where it was. A file
/// that cannot be used costs that knowledge and nothing else. Safe for use by several domains at once.
/// </summary>
/// <param name="directory">Where the files are; made when the first is written.</param>
/// <param name="log">Told of each problem once.</param>
internal sealed class HeatStore(string directory, ILogger log)
{
    private const string Suffix = ".heat";

    // A page's history is some bytes before it is compressed; the models, which are of no page, some kilobytes.
    private const long MostBytesPerPage = 64, MostOther = 1 << 20;

    private string? _problem;

    /// <summary>The file of a domain's run. What was learned is of the pages of one process, which may have a UUID that others
    /// have as well.</summary>
    public string FileOf(Guid domain, ProcessIdentity process) => Path.Combine(directory, NameOf(domain, process) + Suffix);

    /// <summary>What was last saved of a domain; null if nothing.</summary>
    /// <param name="domain">The domain's UUID.</param>
    /// <param name="process">Its process.</param>
    /// <param name="pages">Its memory in pages: a file that is larger than what was learned of them can be is not read.</param>
    public byte[]? Load(Guid domain, ProcessIdentity process, long pages)
    {
        string file = FileOf(domain, process);
        try
        {
            return BoundedFile.ReadBytes(file, (int)Math.Min(Array.MaxLength, MostOther + (pages * MostBytesPerPage)));
        }
        catch (FileNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Complain(file, e);
            return null;
        }
    }

    /// <summary>Saves what was learned of a domain, in place of what was saved before.</summary>
    public void Save(Guid domain, ProcessIdentity process, ReadOnlySpan<byte> state)
    {
        string file = FileOf(domain, process);
        try
        {
            WholeFile.Replace(file, state);
            _problem = null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Complain(file, e);
        }
    }

    /// <summary>Forgets all domains but these. Of one whose process is not known just now nothing is forgotten.</summary>
    public void Keep(IReadOnlyCollection<RunningDomain> domains)
    {
        HashSet<string> names = [.. domains.Where(d => d.Process is not null).Select(d => NameOf(d.Uuid, d.Process!.Value))];
        string[] beginnings = [.. domains.Where(d => d.Process is null).Select(d => NameOf(d.Uuid))];
        try
        {
            if (!Directory.Exists(directory))
                return;
            foreach (string file in Directory.EnumerateFiles(directory, "*" + Suffix))
            {
                string name = Path.GetFileNameWithoutExtension(file);
                if (!names.Contains(name) && !beginnings.Any(beginning => name.StartsWith(beginning, StringComparison.Ordinal)))
                    File.Delete(file);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Complain(directory, e);
        }
    }

    private static string NameOf(Guid domain) => $"{domain}.";

    private static string NameOf(Guid domain, ProcessIdentity process) =>
        string.Create(CultureInfo.InvariantCulture, $"{NameOf(domain)}{process.Pid}-{process.StartTime}");

    private void Complain(string file, Exception e)
    {
        string problem = Shorten.Sentence(e.Message);
        if (Interlocked.Exchange(ref _problem, problem) != problem)
            log.StateFileProblem(file, problem);
    }
}
