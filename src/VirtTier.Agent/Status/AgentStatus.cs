// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Status;

/// <summary>The whole picture that <c>virttier status</c> shows, as one JSON document. Sizes are bytes, times seconds.</summary>
/// <param name="Version">Version of the agent.</param>
/// <param name="UptimeSeconds">Since the agent started.</param>
/// <param name="Libvirt">The connection to libvirt.</param>
/// <param name="Tiers">The host's memory tiers, fastest first.</param>
/// <param name="PoolBytes">Fast memory that all budgets may use together.</param>
/// <param name="Domains">Running domains, by name.</param>
internal sealed record AgentStatus(
    string Version,
    double UptimeSeconds,
    LibvirtStatus Libvirt,
    IReadOnlyList<TierStatus> Tiers,
    long PoolBytes,
    IReadOnlyList<DomainStatus> Domains)
{
    /// <summary>What the agent does that hangs, in words: systemd restarts the agent unless it goes on.</summary>
    public IReadOnlyList<string> Hung { get; init; } = [];

    /// <summary>All that the agent does, and how long each part of it has said nothing.</summary>
    public IReadOnlyList<LoopStatus> Loops { get; init; } = [];

    /// <summary>Where VMs are looked for beside libvirt.</summary>
    public IReadOnlyList<SourceStatus> Sources { get; init; } = [];

    /// <summary>Whether hot pages follow their VM from one fast node to another; without a slow tier that is all that is
    /// moved.</summary>
    public bool Rehomes { get; init; }

    /// <summary>One line of JSON, as it travels over D-Bus.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, StatusJson.Default.AgentStatus);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="JsonException">The text is not an agent's status.</exception>
    public static AgentStatus FromJson(string json) =>
        JsonSerializer.Deserialize(json, StatusJson.Default.AgentStatus)
            is { Version: not null, Libvirt: not null, Tiers: not null, Domains: not null } status
            ? status
            : throw new JsonException("it is not the agent's whole status");
}

/// <param name="Connected">Whether libvirt answers.</param>
/// <param name="Problem">Why not, in one sentence.</param>
/// <param name="HookCalls">Messages of libvirt's qemu hook since the agent started;
/// 0 while VMs come and go: it is not installed.</param>
internal sealed record LibvirtStatus(bool Connected, string? Problem, long HookCalls = 0)
{
    /// <summary>How its domains are learned of: <c>dbus</c>, <c>files</c>, or <c>off</c> if they are not;
    /// null before the first look.</summary>
    public string? Source { get; init; }
}

/// <param name="Does">What a loop of the agent does, in words.</param>
/// <param name="SilentSeconds">Time since it last said that it goes on; while it waits for something, it does so every
/// 15 seconds.</param>
/// <param name="LimitSeconds">The longest that it may say nothing: then it hangs.</param>
internal sealed record LoopStatus(string Does, double SilentSeconds, double LimitSeconds);

/// <param name="Name">One of <see cref="DomainSources"/>.</param>
/// <param name="Connected">Whether its domains are seen.</param>
/// <param name="Problem">Why not, in one sentence.</param>
internal sealed record SourceStatus(string Name, bool Connected, string? Problem);

/// <param name="Name"><c>fast</c> or <c>slow</c>.</param>
/// <param name="Nodes">NUMA nodes of the tier.</param>
/// <param name="TotalBytes">Memory of these nodes.</param>
/// <param name="FreeBytes">Of it, free.</param>
internal sealed record TierStatus(string Name, IReadOnlyList<int> Nodes, long TotalBytes, long FreeBytes)
{
    /// <summary>Its nodes, one by one.</summary>
    public IReadOnlyList<NodeStatus> ByNode { get; init; } = [];
}

/// <param name="Node">Number of a NUMA node.</param>
/// <param name="TotalBytes">Its memory.</param>
/// <param name="FreeBytes">Of it, free.</param>
internal sealed record NodeStatus(int Node, long TotalBytes, long FreeBytes);

/// <summary>One running domain: what it is, what is done with it, and the figures of its rounds.</summary>
internal sealed record DomainStatus : DomainFigures, INamedDomain
{
    /// <summary>A domain with no rounds yet.</summary>
    [JsonConstructor]
    public DomainStatus()
    {
    }

    /// <summary>A domain with the figures of its rounds.</summary>
    public DomainStatus(DomainFigures figures)
        : base(figures)
    {
    }

    /// <summary>Who tells of the domain, one of <see cref="DomainSources"/>.</summary>
    public string Source { get; init; } = DomainSources.Libvirt;

    /// <summary>What the source tells it from others by.</summary>
    public string Id { get => field ?? Name; init; }

    /// <inheritdoc/>
    [JsonIgnore]
    public DomainKey Key => new(Source, Id);

    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>Its UUID. Others may have the same.</summary>
    public required Guid Uuid { get; init; }

    /// <summary>Its QEMU process; null when it is not known.</summary>
    public int? Pid { get; init; }

    /// <summary>What the agent does with it now.</summary>
    public required TieringState State { get; init; }

    /// <summary>The state in a word, for people and over D-Bus.</summary>
    public string StateName => State switch
    {
        TieringState.Observing => "observing",
        TieringState.Tiering when Mode == "observe" || IsOnlyWatched => "observing",
        TieringState.Tiering when IsOnlyFollowed => "following",
        TieringState.Tiering when FastBytes > BudgetBytes => "settling",
        TieringState.Tiering => "tiering",
        TieringState.Paused => "paused",
        TieringState.Off => "off",
        _ => Reason is null or Reasons.Attaching ? "attaching" : "waiting",
    };

    /// <summary>All that <see cref="StateName"/> can be.</summary>
    public static IReadOnlyList<string> StateNames { get; } =
        ["attaching", "waiting", "tiering", "settling", "following", "observing", "paused", "off"];

    /// <summary>Why it is not being tiered (or not wholly), in one sentence with what to do; null when it is.</summary>
    public string? Reason { get; init; }

    /// <summary>One line of JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, StatusJson.Default.DomainStatus);

    /// <summary>Whether a person has to do something about it: a pause and mode off were somebody's wish.</summary>
    public bool NeedsAttention =>
        Problems.Count > 0
        || (State is TieringState.Attaching or TieringState.Tiering && Reason is not (null or Reasons.Attaching))
        || (State == TieringState.Observing && Mode == "enforce");

    /// <summary><c>enforce</c>, <c>observe</c> or <c>off</c>.</summary>
    public required string Mode { get; init; }

    /// <summary>Whether nothing of it is moved whatever its mode: the host has one memory tier.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsOnlyWatched { get; init; }

    /// <summary>Whether its hot pages follow it between sockets and nothing else of it is moved: the host has one memory
    /// tier.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsOnlyFollowed { get; init; }

    /// <summary>The guest's memory.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>Most fast memory that it may hold.</summary>
    public long BudgetBytes { get; init; }

    /// <summary>The settings that hold, and where each is from.</summary>
    public IReadOnlyList<SettingOrigin> Settings { get; init; } = [];

    /// <summary>What is wrong with its settings; the last good ones are in force.</summary>
    public IReadOnlyList<SettingProblemStatus> Problems { get; init; } = [];
}

/// <param name="Attribute">Attribute of the metadata element.</param>
/// <param name="Value">What it says.</param>
/// <param name="Message">What is wrong with it and what would be right.</param>
internal sealed record SettingProblemStatus(string Attribute, string Value, string Message)
{
    public static SettingProblemStatus Of(SettingsProblem problem) => new(problem.Attribute, problem.Value, problem.Message);
}

/// <summary>Life of a domain under the agent.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<TieringState>))]
internal enum TieringState
{
    /// <summary>The sampler is not attached yet; <see cref="DomainStatus.Reason"/> says what it waits for.</summary>
    Attaching,

    /// <summary>Sampled, and moved unless the mode is observe.</summary>
    Tiering,

    /// <summary>Sampled, and not moved whatever the mode, for what is seen of it is not all: it runs guests of its own.</summary>
    Observing,

    /// <summary>The guest does not run now (suspended, migrating): nothing is sampled or moved.</summary>
    Paused,

    /// <summary>The settings say off.</summary>
    Off,
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(AgentStatus))]
[JsonSerializable(typeof(DomainStatus))]
[JsonSerializable(typeof(DomainCurve))]
internal sealed partial class StatusJson : JsonSerializerContext;
