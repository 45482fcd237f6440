// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;
using VirtTier.Libvirt;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlDotNet.RepresentationModel;

namespace VirtTier.Agent.Configuration;

/// <summary>
/// Reads <see cref="AgentConfig"/> from YAML. It walks the document instead of deserializing it, so that every complaint
/// (unknown key, bad value) can name its line and column.
/// </summary>
internal sealed class ConfigReader
{
    // The longest configuration with all keys and comments is a hundredth of this; nobody's mistake shall be read for minutes.
    private const int MostBytes = 1 << 20;

    // 'defaults', a key below it, a list: the deepest there is has four. YamlDotNet reads documents recursively, without a bound.
    private const int MostNesting = 16;

    private readonly string _file;

    private ConfigReader(string file) => _file = file;

    /// <summary>Reads <paramref name="path"/>; a file that does not exist means all defaults.</summary>
    /// <exception cref="ConfigException">The file cannot be read or says something that cannot be used.</exception>
    public static AgentConfig ReadFile(string path)
    {
        try
        {
            return Read(path, Decode(path, BoundedFile.ReadBytes(path, MostBytes)));
        }
        catch (FileNotFoundException)
        {
            return new AgentConfig();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigException(e.Message, e);
        }
    }

    /// <summary>Reads YAML text; <paramref name="file"/> is the name that errors carry.</summary>
    /// <exception cref="ConfigException">The text says something that cannot be used.</exception>
    public static AgentConfig Read(string file, string text)
    {
        RequirePlainText(file, text);
        YamlStream yaml = [];
        try
        {
            RequireFlat(file, text);
            yaml.Load(new StringReader(text));
        }
        catch (YamlException e)
        {
            throw new ConfigException($"{file}:{e.Start.Line}:{e.Start.Column}: not valid YAML: {e.Message}", e);
        }
        ConfigReader reader = new(file);
        return yaml.Documents.Count switch
        {
            0 => new AgentConfig { IsEmptyFile = string.IsNullOrWhiteSpace(text) },
            1 => reader.ReadRoot(yaml.Documents[0].RootNode),
            _ => throw reader.Error(yaml.Documents[1].RootNode, "a second YAML document; the configuration is one document"),
        };
    }

    private static string Decode(string file, ReadOnlySpan<byte> bytes)
    {
        try
        {
            string text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes);
            return text.StartsWith('\uFEFF') ? text[1..] : text;
        }
        catch (DecoderFallbackException e)
        {
            throw new ConfigException(
                $"{file}: not UTF-8: byte {e.Index} (0x{e.BytesUnknown?.FirstOrDefault():x2}) begins no character", e);
        }
    }

    /// <summary>Refuses characters that no text has. A file of NUL bytes, as a loss of power leaves behind,
    /// would pass for an empty one.</summary>
    private static void RequirePlainText(string file, string text)
    {
        for (int i = 0, line = 1, start = 0; i < text.Length; i++)
        {
            if (text[i] == '\n')
                (line, start) = (line + 1, i + 1);
            else if (char.IsControl(text[i]) && text[i] is not ('\t' or '\r' or '\u0085'))
                throw new ConfigException(
                    $"{file}:{line}:{i - start + 1}: the character U+{(int)text[i]:X4} is no text: "
                        + "the file is damaged; write it anew");
        }
    }

    /// <summary>Refuses what is nested too deeply, and aliases, before anything recursive sees the text: either
    /// could take the whole stack.</summary>
    private static void RequireFlat(string file, string text)
    {
        Parser parser = new(new StringReader(text));
        int depth = 0;
        while (MoveNext(file, parser))
        {
            ParsingEvent now = parser.Current!;
            depth += now.NestingIncrease;
            if (depth > MostNesting)
                throw new ConfigException(
                    $"{file}:{now.Start.Line}:{now.Start.Column}: nested more than {MostNesting} deep; no key needs that");
            if (now is AnchorAlias alias)
            {
                throw new ConfigException(
                    $"{file}:{now.Start.Line}:{now.Start.Column}: the alias '*{Shorten.ForMessage(alias.Value.Value)}' is not "
                        + "supported: write the value out");
            }
        }
    }

    /// <summary>The next event. Of some texts YamlDotNet's scanner says only that it is in no valid state;
    /// they are no YAML either.</summary>
    private static bool MoveNext(string file, Parser parser)
    {
        try
        {
            return parser.MoveNext();
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            Mark after = parser.Current?.End ?? Mark.Empty;
            throw new ConfigException($"{file}:{after.Line}:{after.Column}: not valid YAML from here on", e);
        }
    }

    private AgentConfig ReadRoot(YamlNode root)
    {
        AgentConfig config = new();
        YamlNode? tiers = null;
        ReadMapping(root, "", new()
        {
            ["defaults"] = node => config = config with { Defaults = ReadSettings(node, "defaults") },
            ["rules"] = node => config = ReadRules(config, node),
            ["sampling"] = node => ReadMapping(node, "sampling", new()
            {
                ["interval"] = n => config = config with { HarvestInterval = Duration(n, Limits.HarvestInterval) },
                ["harvests_per_round"] = n => config = config with { HarvestsPerRound = Integer(n, Limits.HarvestsPerRound) },
                ["domain_cpu"] = n => config = config with { HarvestCpuShare = CpuShare(n) },
                ["fault_rate"] = n => config = config with { FaultRate = Integer(n, Limits.FaultRate) },
            }),
            ["tiers"] = node => ReadMapping(tiers = node, "tiers", new()
            {
                ["fast"] = n => config = config with { FastNodes = Nodes(n) },
                ["slow"] = n => config = config with { SlowTiers = NodeLists(n) },
                ["write_weight"] = n => config = config with { WriteWeight = Number(n, Limits.WriteWeight) },
            }),
            ["migration"] = node => ReadMapping(node, "migration", new()
            {
                ["domain_rate"] = n => config = config with { DomainRate = Rate(n) },
                ["domain_cpu"] = n => config = config with { MoveCpuShare = CpuShare(n) },
                ["host_rate"] = n => config = config with { HostRate = Rate(n) },
                ["split"] = n => config = config with { Split = Split(n) },
            }),
            ["pool"] = node => ReadMapping(node, "pool", new()
            {
                ["dram"] = n => config = config with { Pool = Pool(n) },
            }),
            ["costs"] = node => ReadMapping(node, "costs", new()
            {
                ["dram_per_gib"] = n => config = config with { DramCost = Cost(n) },
            }),
            ["libvirt"] = node => ReadMapping(node, "libvirt", new()
            {
                ["heartbeat"] = n => config = config with { Heartbeat = Duration(n, Limits.Heartbeat) },
                ["source"] = n => config = config with { LibvirtSource = Source(n) },
                ["carry_heat"] = n => config = config with { CarryHeat = OnOff(n) },
            }),
            ["sources"] = node => ReadMapping(node, "sources", new()
            {
                ["proxmox"] = n => config = config with { Sources = config.Sources with { Proxmox = OnOff(n) } },
                ["pods"] = n => config = config with { Sources = config.Sources with { Pods = Pods(n) } },
                ["pid_files"] = n => config = config with { Sources = config.Sources with { PidFiles = Paths(n) } },
                ["cgroups"] = n => config = config with { Sources = config.Sources with { Cgroups = Paths(n) } },
            }),
            ["hook"] = node => ReadMapping(node, "hook", new()
            {
                ["admission_control"] = n => config = config with { AdmissionControl = OnOff(n) },
            }),
        });
        RequireWholeTiers(tiers, config);
        return config;
    }

    private void RequireWholeTiers(YamlNode? tiers, AgentConfig config)
    {
        if (tiers is null)
            return;
        if (config.FastNodes is null != config.SlowTiers is null)
            throw Error(tiers, "tiers: 'fast' and 'slow' belong together; give both lists of NUMA nodes, or neither");
        foreach (int node in config.FastNodes?.Intersect(config.SlowTiers!.SelectMany(tier => tier)) ?? [])
            throw Error(tiers, $"tiers: NUMA node {node} is in both lists: a node belongs to one memory tier");
    }

    private AgentConfig ReadRules(AgentConfig config, YamlNode node)
    {
        if (node is YamlScalarNode { Value: "" or null or "~" or "null" })
            return config;
        if (node is not YamlSequenceNode sequence)
            throw Error(node, "'rules' must be a list, each of its items with match and set, limit or owner");
        List<SettingsRule> rules = [];
        List<string> warnings = [];
        foreach (YamlNode item in sequence.Children)
        {
            SettingsRule rule = ReadRule(item);
            if (rule.WhyNever(rules) is string why)
                warnings.Add(Error(item, $"this rule can never match: {why}").Message);
            rules.Add(rule);
        }
        return config with { Rules = rules, Warnings = warnings };
    }

    private SettingsRule ReadRule(YamlNode node)
    {
        Dictionary<string, IReadOnlyList<string>> match = [];
        TieringSettings set = TieringSettings.Default, limit = TieringSettings.Default;
        bool owner = true;
        ReadMapping(node, "rules", new()
        {
            ["match"] = n => match = ReadMatch(n),
            ["set"] = n => set = ReadSettings(n, "set"),
            ["limit"] = n => limit = ReadLimit(n),
            ["owner"] = n => owner = OnOff(n),
        });
        if (set == TieringSettings.Default && limit == TieringSettings.Default && owner)
            throw Error(node, "the rule does nothing: give it set, limit or owner: false");
        return new($"{_file}:{node.Start.Line}", match, set, limit, owner);
    }

    private TieringSettings ReadLimit(YamlNode node)
    {
        TieringSettings limit = ReadSettings(node, "limit");
        return limit.Dram.Kind == SizeKind.Auto
            ? throw Error(node, "limit.dram: auto is no limit: give a size or a percentage")
            : limit;
    }

    private Dictionary<string, IReadOnlyList<string>> ReadMatch(YamlNode node)
    {
        if (node is not YamlMappingNode mapping)
            throw Error(node, "'match' must be a block of 'key: pattern' lines");
        Dictionary<string, IReadOnlyList<string>> match = [];
        foreach ((YamlNode keyNode, YamlNode value) in mapping.Children)
        {
            string key = Scalar(keyNode);
            bool isAttribute = key.IndexOf('@', StringComparison.Ordinal) is > 0 and var at && at < key.Length - 1;
            if (!isAttribute && !SettingsRule.Keys.Contains(key))
                throw Error(keyNode, $"unknown key '{Shorten.ForMessage(key)}' in 'match'; known: "
                    + $"{string.Join(", ", SettingsRule.Keys)}, and element@attribute of the metadata");
            match[key] = value is YamlSequenceNode { Children.Count: > 0 } list
                ? [.. list.Children.Select(Scalar)]
                : [Scalar(value)];
        }
        return match;
    }

    /// <summary>The <c>defaults</c> block, and those of a rule, have the attributes of the metadata element,
    /// with the same meaning and the same parser.</summary>
    private TieringSettings ReadSettings(YamlNode node, string block)
    {
        Dictionary<string, string> attributes = [];
        Dictionary<string, YamlNode> places = [];
        Dictionary<string, Action<YamlNode>> keys = [];
        foreach (string name in TieringSettings.AttributeNames)
            keys[name] = n => (attributes[name], places[name]) = (Scalar(n), n);
        ReadMapping(node, block, keys);

        (TieringSettings settings, IReadOnlyList<SettingsProblem> problems) = TieringSettings.FromAttributes(attributes);
        if (problems.Count > 0)
            throw Error(places.GetValueOrDefault(problems[0].Attribute, node),
                $"{block}.{problems[0].Attribute}: {problems[0].Message}");
        return settings;
    }

    private void ReadMapping(YamlNode node, string name, Dictionary<string, Action<YamlNode>> keys)
    {
        if (node is YamlScalarNode { Value: "" or null or "~" or "null" })
            return;   // "sampling:" with nothing below it
        if (node is not YamlMappingNode mapping)
            throw Error(node, $"'{name}' must be a block of 'key: value' lines");
        foreach ((YamlNode keyNode, YamlNode value) in mapping.Children)
        {
            string key = Scalar(keyNode);
            if (!keys.TryGetValue(key, out Action<YamlNode>? read))
                throw Error(
                    keyNode,
                    $"unknown key '{Shorten.ForMessage(key)}'{(name.Length > 0 ? $" in '{name}'" : "")}; known: "
                        + $"{string.Join(", ", keys.Keys)}");
            read(value);
        }
    }

    private string Scalar(YamlNode node) =>
        (node as YamlScalarNode)?.Value ?? throw Error(node, "must be a single value");

    private int Integer(YamlNode node, Limit limit)
    {
        string text = Scalar(node);
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && limit.Allows(value))
            return value;
        throw Error(node, $"'{Shorten.ForMessage(text)}' must be a whole number from {limit}");
    }

    private double Number(YamlNode node, Limit limit)
    {
        string text = Scalar(node);
        return TryParseWithin(limit, text, 1, out decimal value)
            ? (double)value
            : throw Error(node, $"'{Shorten.ForMessage(text)}' must be a number from {limit}");
    }

    private double CpuShare(YamlNode node) => Share(node, Limits.CpuShare) ??
        throw Error(node, $"'{Shorten.ForMessage(Scalar(node))}' must be a share of one CPU from {Limits.CpuShare}, such as 5%");

    private BlockShare Split(YamlNode node) =>
        BlockShare.TryParse(Scalar(node), out BlockShare share, out string? error) ? share : throw Error(node, error);

    private double? Share(YamlNode node, Limit limit)
    {
        string text = Scalar(node);
        return text.EndsWith('%') && TryParseWithin(limit, text.AsSpan(0, text.Length - 1), 1, out decimal percent)
            ? (double)percent / 100
            : null;
    }

    // What no decimal can hold is none, and neither are infinity and NaN.
    private static bool TryParseWithin(Limit limit, ReadOnlySpan<char> text, decimal unit, out decimal value)
    {
        bool isWithin = decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number)
            && number <= limit.Highest / unit && number >= limit.Lowest / unit;
        value = isWithin ? number * unit : 0;
        return isWithin;
    }

    private bool OnOff(YamlNode node) => Scalar(node) switch
    {
        "on" or "true" => true,
        "off" or "false" => false,
        var text => throw Error(node, $"'{Shorten.ForMessage(text)}' must be on or off"),
    };

    private LibvirtSource Source(YamlNode node) => Scalar(node) switch
    {
        "auto" => LibvirtSource.Auto,
        "dbus" => LibvirtSource.DBus,
        "files" => LibvirtSource.Files,
        "off" or "false" => LibvirtSource.Off,
        var text => throw Error(node, $"'{Shorten.ForMessage(text)}' must be auto, dbus, files or off"),
    };

    private string? Pods(YamlNode node) => Scalar(node) switch
    {
        "off" or "false" => null,
        "on" or "true" => "/var/lib/kubelet/pods",
        _ => PathOf(node, "on, off, or the kubelet's directory of pods"),
    };

    private List<string> Paths(YamlNode node)
    {
        IEnumerable<YamlNode> paths = node is YamlSequenceNode list ? list.Children : [node];
        return [.. paths.Select(path => PathOf(path, "a path from the root on, in which * and ? stand for parts of a name"))];
    }

    private string PathOf(YamlNode node, string what)
    {
        string path = Scalar(node);
        return path.Length > 1 && path[0] == '/' && !path.Split('/').Contains("..")
            ? path
            : throw Error(node, $"'{Shorten.ForMessage(path)}' must be {what}");
    }

    private TimeSpan Duration(YamlNode node, Limit limit)
    {
        string text = Scalar(node);
        (string Unit, decimal Seconds)[] units = [("ms", 0.001m), ("s", 1), ("min", 60)];
        foreach ((string unit, decimal seconds) in units)
        {
            if (text.EndsWith(unit, StringComparison.Ordinal)
                && TryParseWithin(limit, text.AsSpan(0, text.Length - unit.Length).Trim(), seconds, out decimal value))
                return TimeSpan.FromSeconds((double)value);
        }
        throw Error(
            node, $"'{Shorten.ForMessage(text)}' must be a time with its unit, from {limit}, such as 250ms or 3s");
    }

    private List<int> Nodes(YamlNode node)
    {
        if (node is not YamlSequenceNode sequence)
            throw Error(node, "must be a list of NUMA node numbers, such as [0, 2]");
        if (sequence.Children.Count == 0)
            throw Error(node, "must name at least one NUMA node, such as [0]");
        List<int> nodes = [];
        foreach (YamlNode child in sequence.Children)
        {
            int number = Integer(child, Limits.Node);
            if (nodes.Contains(number))
                throw Error(child, $"NUMA node {number} is listed twice");
            nodes.Add(number);
        }
        return nodes;
    }

    /// <summary>One list for one tier, or a list of lists for several.</summary>
    private List<IReadOnlyList<int>> NodeLists(YamlNode node)
    {
        if (node is not YamlSequenceNode { Children: [YamlSequenceNode, ..] } tiers)
            return [Nodes(node)];
        List<IReadOnlyList<int>> lists = [];
        foreach (YamlNode tier in tiers.Children)
        {
            List<int> nodes = Nodes(tier);
            foreach (int twice in nodes.Intersect(lists.SelectMany(list => list)))
                throw Error(tier, $"NUMA node {twice} is listed twice");
            lists.Add(nodes);
        }
        return lists;
    }

    private ByteRate Rate(YamlNode node) =>
        ByteRate.TryParse(Scalar(node), out ByteRate rate, out string? problem) ? rate : throw Error(node, problem);

    private DramCost Cost(YamlNode node) => DramCost.TryParse(Scalar(node), out DramCost? cost)
        ? cost
        : throw Error(
            node, $"'{Shorten.ForMessage(Scalar(node))}' must be the price of a GiB from {Limits.DramCost}, with its currency or "
                + "without: 4.20 EUR");

    private SizeSpec Pool(YamlNode node)
    {
        string text = Scalar(node);
        if (!SizeSpec.TryParse(text, out SizeSpec size, out string? problem))
            throw Error(node, problem);
        return size.Kind == SizeKind.Auto
            ? throw Error(node, "'auto' is not a size for the pool; say for example 80% or 64GiB")
            : size;
    }

    private ConfigException Error(YamlNode node, string message) =>
        new($"{_file}:{node.Start.Line}:{node.Start.Column}: {message}");
}
