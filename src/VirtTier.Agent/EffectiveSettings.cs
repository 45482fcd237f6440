// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Libvirt;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;
using VirtTier.Tiering.Budgets;

namespace VirtTier.Agent;

/// <summary>The settings that hold for a domain: of its owner, else of its flavor, else of the first rule that matches, else of
/// the defaults; and then no more than that rule's limit.</summary>
/// <param name="Settings">What holds.</param>
/// <param name="Origins">Where each value is from.</param>
internal sealed record EffectiveSettings(TieringSettings Settings, IReadOnlyList<SettingOrigin> Origins)
{
    private const int MostBytes = 64 << 10;

    public static EffectiveSettings Of(RunningDomain domain, AgentConfig config) => Of(domain, config, ReadCgroup);

    /// <summary>The same, where <paramref name="readCgroup"/> gives the cgroup of a process; null when that has ended.</summary>
    internal static EffectiveSettings Of(RunningDomain domain, AgentConfig config, Func<int, string?> readCgroup)
    {
        SettingsRule? rule = config.Rules.FirstOrDefault(rule => rule.Fits(domain, readCgroup));
        (string From, TieringSettings Settings)[] layers =
        [
            (domain.Source switch
            {
                DomainSources.Proxmox => "tags",
                DomainSources.Kubevirt => "annotation",
                _ => "metadata",
            },
                rule is { OwnerCounts: false } ? TieringSettings.Default : domain.Settings),
            ($"flavor {domain.Labels.Flavor}", domain.Labels.FlavorSettings),
            ($"rule at {rule?.Place}", rule?.Set ?? TieringSettings.Default),
            ("defaults", config.Defaults),
        ];
        TieringSettings asked = layers.Select(layer => layer.Settings).Aggregate((over, under) => over.Over(under));
        TieringSettings settings = rule is null ? asked : Limit(asked, rule.Limit, domain.UsableMemoryBytes, config);

        Dictionary<string, string>[] said = [.. layers.Select(layer => layer.Settings.ToAttributes().ToDictionary())];
        Dictionary<string, string> before = asked.ToAttributes().ToDictionary(), after = settings.ToAttributes().ToDictionary();
        return new(settings, [.. TieringSettings.AttributeNames.Select(name =>
        {
            int layer = Array.FindIndex(said, values => values.ContainsKey(name));
            string? value = after.GetValueOrDefault(name), wish = before.GetValueOrDefault(name);
            return new SettingOrigin(name, value ?? BuiltIn(name, config), layer < 0 ? "built in" : layers[layer].From)
            {
                Cut = value == wish ? null : $"{wish ?? BuiltIn(name, config)} was cut by the limit of the rule at {rule!.Place}",
            };
        })]);
    }

    private static string BuiltIn(string attribute, AgentConfig config) => attribute switch
    {
        "dram" => "auto",
        "min" => "0%",
        "max" => "100%",
        "shares" => TieringSettings.DefaultShares.ToString(CultureInfo.InvariantCulture),
        "mode" => TieringMode.Enforce.ToAttribute(),
        "split" => config.Split.ToString(),
        _ => config.DomainRate.ToString(),
    };

    private static TieringSettings Limit(TieringSettings asked, TieringSettings limit, ulong memory, AgentConfig config)
    {
        TieringSettings cut = asked with
        {
            Min = Lower(Lower(asked.Min, limit.Min), limit.Dram),
            Shares = limit.Shares is { } shares ? Math.Min(asked.Shares ?? TieringSettings.DefaultShares, shares) : asked.Shares,
            // From what moves pages to what does not even look at them.
            Mode = limit.Mode is { } mode && mode > (asked.Mode ?? TieringMode.Enforce) ? mode : asked.Mode,
            Rate = limit.Rate is { } rate && rate.BytesPerSecond < (asked.Rate ?? config.DomainRate).BytesPerSecond
                ? rate
                : asked.Rate,
            Split = limit.Split is { } split && split.Share < (asked.Split ?? config.Split).Share ? split : asked.Split,
        };
        // What auto may choose is bounded by its max; the others say themselves how much they want.
        return asked.Dram.Kind is SizeKind.Auto or SizeKind.Unset
            ? cut with { Max = LowerMost(LowerMost(asked.Max, limit.Max), limit.Dram) }
            : cut with { Dram = Lower(asked.Dram, limit.Dram), Max = LowerMost(asked.Max, limit.Max) };

        SizeSpec Lower(SizeSpec size, SizeSpec most) => size.Resolve(memory) > most.Resolve(memory) ? most : size;

        SizeSpec LowerMost(SizeSpec size, SizeSpec most) =>
            !most.IsSet || (size.IsSet && size.Resolve(memory) <= most.Resolve(memory)) ? size : most;
    }

    private static string? ReadCgroup(int pid)
    {
        try
        {
            string text = BoundedFile.ReadText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/cgroup"), MostBytes);
            return text.Split('\n').FirstOrDefault(line => line.StartsWith("0::", StringComparison.Ordinal))?[3..];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // it has just ended
        }
    }
}

/// <summary>A domain's settings in the terms of <see cref="PoolDivider"/>.</summary>
internal static class BudgetDemands
{
    /// <summary>What a domain asks of the pool.</summary>
    /// <param name="settings">Its settings, defaults filled in.</param>
    /// <param name="memoryBytes">Its memory.</param>
    /// <param name="usableBytes">As much of it as its shares are of.</param>
    public static BudgetDemand Of(TieringSettings settings, ulong memoryBytes, ulong usableBytes) => new(
        Memory: (long)memoryBytes / PageSizes.PageBytes,
        Dram: Pages(settings.Dram, usableBytes),
        Min: Pages(settings.Min, usableBytes) ?? 0,
        Max: Pages(settings.Max, usableBytes),
        Shares: settings.Shares ?? TieringSettings.DefaultShares);

    private static long? Pages(SizeSpec size, ulong usableBytes) =>
        size.Resolve(usableBytes) is ulong bytes ? (long)bytes / PageSizes.PageBytes : null;
}
