// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>What libvirt says of the job of a domain: the numbers of libvirt-domain.h.</summary>
/// <param name="Type">Its virDomainJobType.</param>
/// <param name="Operation">Its virDomainJobOperation; null where libvirt names none.</param>
internal readonly record struct DomainJob(int Type, int? Operation)
{
    private const int NoJob = 0, Completed = 3, Failed = 4, Cancelled = 5;
    private const int Unnamed = 0, Start = 1, Save = 2, Restore = 3, MigrationIn = 4, MigrationOut = 5;
    private const int Snapshot = 6, SnapshotRevert = 7, Dump = 8, Backup = 9, SnapshotDelete = 10;

    /// <summary>No job is under way.</summary>
    internal static DomainJob None { get; } = new(NoJob, null);

    /// <summary>Whether the guest's memory may be copied now. What is not known here counts as that: a pause of tiering costs the
    /// guest nothing.</summary>
    internal bool CopiesMemory => IsUnderWay && Operation is not (Start or Backup or SnapshotDelete);

    /// <summary>Whether a job is under way of which it is not known here what it does.</summary>
    internal bool IsUnknown => IsUnderWay && Operation is not (>= Start and <= SnapshotDelete);

    /// <summary>The operation, for people.</summary>
    internal string OperationName => Operation switch
    {
        null or Unnamed => "that it does not name",
        { } number => FormattableString.Invariant($"number {number}"),
    };

    private bool IsUnderWay => Type is not (NoJob or Completed or Failed or Cancelled);
}
