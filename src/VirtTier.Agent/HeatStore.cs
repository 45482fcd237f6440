// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt;
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

    /// <summary>The file of a domain.</summary>
    public string FileOf(Guid domain) => Path.Combine(directory, domain + Suffix);

    /// <summary>What was last saved of a domain; null if nothing.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="pages">Its memory in pages: a file that is larger than what was learned of them can be is not read.</param>
    public byte[]? Load(Guid domain, long pages)
    {
        string file = FileOf(domain);
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
    public void Save(Guid domain, ReadOnlySpan<byte> state)
    {
        string file = FileOf(domain);
        try
        {
            StateFile.Replace(file, state);
            _problem = null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Complain(file, e);
        }
    }

    /// <summary>Forgets all domains but these.</summary>
    public void Keep(IReadOnlySet<Guid> domains)
    {
        try
        {
            if (!Directory.Exists(directory))
                return;
            foreach (string file in Directory.EnumerateFiles(directory, "*" + Suffix))
            {
                if (!Guid.TryParse(Path.GetFileNameWithoutExtension(file), out Guid domain) || !domains.Contains(domain))
                    File.Delete(file);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Complain(directory, e);
        }
    }

    private void Complain(string file, Exception e)
    {
        string problem = Shorten.Sentence(e.Message);
        if (Interlocked.Exchange(ref _problem, problem) != problem)
            log.StateFileProblem(file, problem);
    }
}
