// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Xml;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>What VirtTier reads from the file in which libvirt's QEMU driver keeps a domain that runs: its
/// <c>&lt;domstatus&gt;</c>. The format is libvirt's own and has been the same in what is read here since 2011.</summary>
/// <param name="State">What its vCPUs do.</param>
/// <param name="Job">The job that is under way.</param>
/// <param name="DomainXml">The domain as it runs, with its live metadata.</param>
internal sealed record DomainStatusFile(DomainState State, DomainJob Job, string DomainXml)
{
    /// <summary>Most bytes of such a file: the longest XML of a domain, and libvirt's own notes beside it.</summary>
    internal const int MostBytes = 8 << 20;

    private const int UnboundedJob = 2; // VIR_DOMAIN_JOB_UNBOUNDED

    /// <exception cref="FormatException">It is not the status of a domain.</exception>
    internal static DomainStatusFile Parse(byte[] file)
    {
        XmlReaderSettings settings = new() { DtdProcessing = DtdProcessing.Prohibit, XmlResolver = null, CloseInput = true };
        try
        {
            using (XmlReader shape = Open(file, settings))
                XmlShape.Check(shape, "it", within: 1);
            using XmlReader reader = Open(file, settings);
            reader.MoveToContent();
            if (reader.Name != "domstatus")
                throw new FormatException($"it starts with <{Shorten.ForMessage(reader.Name)}> and not with <domstatus>");
            DomainState state = ToState(reader.GetAttribute("state"));
            DomainJob job = DomainJob.None;
            string? domain = null;
            reader.Read();
            while (!reader.EOF)
            {
                if (reader is not { NodeType: XmlNodeType.Element, Depth: 1 })
                    reader.Read();
                else if (reader.Name == "domain")
                    domain = reader.ReadOuterXml();
                else
                {
                    if (reader.Name == "job")
                        job = ToJob(reader.GetAttribute("async"));
                    reader.Skip();
                }
            }
            return new(state, job, domain ?? throw new FormatException("it has no <domain>"));
        }
        catch (XmlException e)
        {
            throw new FormatException($"it cannot be read: {Shorten.Sentence(e.Message)}", e);
        }
    }

    private static XmlReader Open(byte[] file, XmlReaderSettings settings) =>
        XmlReader.Create(new StreamReader(new MemoryStream(file), Encoding.UTF8), settings);

    // virDomainStateTypeToString
    private static DomainState ToState(string? libvirtState) => libvirtState switch
    {
        "running" or "blocked" => DomainState.Running,
        "paused" => DomainState.Paused,
        "shutdown" or "shutoff" => DomainState.ShuttingDown,
        "crashed" => DomainState.Crashed,
        "pmsuspended" => DomainState.Asleep,
        _ => DomainState.Unknown,
    };

    /// <summary>A job that goes on by itself (virDomainAsyncJobTypeToString). The others last as long as one call, and copy no
    /// memory.</summary>
    private static DomainJob ToJob(string? name) => name switch
    {
        null or "none" => DomainJob.None,
        "start" => new(UnboundedJob, 1),
        "save" => new(UnboundedJob, 2),
        "migration in" => new(UnboundedJob, 4),
        "migration out" => new(UnboundedJob, 5),
        "snapshot" => new(UnboundedJob, 6),
        "dump" => new(UnboundedJob, 8),
        "backup" => new(UnboundedJob, 9),
        _ => new(UnboundedJob, null),
    };
}
