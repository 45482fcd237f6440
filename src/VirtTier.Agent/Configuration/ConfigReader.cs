// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Libvirt.Settings;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace VirtTier.Agent.Configuration;

/// <summary>
/// Reads <see cref="AgentConfig"/> from YAML. It walks the document instead of deserializing it, so that every complaint
/// (unknown key, bad value) can name its line and column.
/// </summary>
internal sealed class ConfigReader
{
    private readonly string _file;

    private ConfigReader(string file) => _file = file;

    /// <summary>Reads <paramref name="path"/>; a file that does not exist means all defaults.</summary>
    /// <exception cref="ConfigException">The file cannot be read or says something that cannot be used.</exception>
    public static AgentConfig ReadFile(string path)
    {
        try
        {
            using StreamReader reader = new(path);
            return Read(path, reader);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return new AgentConfig();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Reads YAML text; <paramref name="file"/> is the name that errors carry.</summary>
    /// <exception cref="ConfigException">The text says something that cannot be used.</exception>
    public static AgentConfig Read(string file, TextReader text)
    {
        YamlStream yaml = [];
        try
        {
            yaml.Load(text);
        }
        catch (YamlException e)
        {
            throw new ConfigException($"{file}:{e.Start.Line}:{e.Start.Column}: not valid YAML: {e.Message}", e);
        }
        ConfigReader reader = new(file);
        return yaml.Documents.Count switch
        {
            0 => new AgentConfig(),
            1 => reader.ReadRoot(yaml.Documents[0].RootNode),
            _ => throw reader.Error(yaml.Documents[1].RootNode, "a second YAML document; the configuration is one document"),
        };
    }

    private AgentConfig ReadRoot(YamlNode root)
    {
        AgentConfig config = new();
        ReadMapping(root, "", new()
        {
            ["defaults"] = node => config = config with { Defaults = ReadDefaults(node) },
            ["sampling"] = node => ReadMapping(node, "sampling", new()
            {
                ["interval"] = n => config = config with { HarvestInterval = Duration(n, TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(1)) },
                ["harvests_per_round"] = n => config = config with { HarvestsPerRound = Integer(n, 1, 64) },
                ["domain_cpu"] = n => config = config with { HarvestCpuShare = CpuShare(n) },
                ["fault_rate"] = n => config = config with { FaultRate = Integer(n, 0, 1000) },
            }),
            ["tiers"] = node => ReadMapping(node, "tiers", new()
            {
                ["fast"] = n => config = config with { FastNodes = Nodes(n) },
                ["slow"] = n => config = config with { SlowNodes = Nodes(n) },
                ["write_weight"] = n => config = config with { WriteWeight = Number(n, 0.25, 4) },
            }),
            ["migration"] = node => ReadMapping(node, "migration", new()
            {
                ["domain_rate"] = n => config = config with { DomainRate = Rate(n) },
                ["domain_cpu"] = n => config = config with { MoveCpuShare = CpuShare(n) },
                ["host_rate"] = n => config = config with { HostRate = Rate(n) },
            }),
            ["pool"] = node => ReadMapping(node, "pool", new()
            {
                ["dram"] = n => config = config with { Pool = Pool(n) },
            }),
            ["libvirt"] = node => ReadMapping(node, "libvirt", new()
            {
                ["heartbeat"] = n => config = config with { Heartbeat = Duration(n, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5)) },
            }),
            ["hook"] = node => ReadMapping(node, "hook", new()
            {
                ["admission_control"] = n => config = config with { AdmissionControl = OnOff(n) },
            }),
        });
        return config;
    }

    /// <summary>The <c>defaults</c> block has the attributes of the metadata element, with the same meaning and the same parser.</summary>
    private TieringSettings ReadDefaults(YamlNode node)
    {
        Dictionary<string, string> attributes = [];
        Dictionary<string, YamlNode> places = [];
        Dictionary<string, Action<YamlNode>> keys = [];
        foreach (string name in TieringSettings.AttributeNames)
            keys[name] = n => (attributes[name], places[name]) = (Scalar(n), n);
        ReadMapping(node, "defaults", keys);

        (TieringSettings settings, IReadOnlyList<SettingsProblem> problems) = TieringSettings.FromAttributes(attributes);
        if (problems.Count > 0)
            throw Error(places.GetValueOrDefault(problems[0].Attribute, node), $"defaults.{problems[0].Attribute}: {problems[0].Message}");
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
                throw Error(keyNode, $"unknown key '{key}'{(name.Length > 0 ? $" in '{name}'" : "")}; known: {string.Join(", ", keys.Keys)}");
            read(value);
        }
    }

    private string Scalar(YamlNode node) =>
        (node as YamlScalarNode)?.Value ?? throw Error(node, "must be a single value");

    private int Integer(YamlNode node, int min, int max)
    {
        string text = Scalar(node);
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= min && value <= max)
            return value;
        throw Error(node, $"'{text}' must be a whole number from {min} to {max}");
    }

    private double Number(YamlNode node, double min, double max)
    {
        string text = Scalar(node);
        if (double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) && value >= min && value <= max)
            return value;
        throw Error(node, string.Create(CultureInfo.InvariantCulture, $"'{text}' must be a number from {min} to {max}"));
    }

    private double CpuShare(YamlNode node)
    {
        string text = Scalar(node);
        if (text.EndsWith('%')
            && double.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double percent)
            && percent is >= 0.1 and <= 100)
            return percent / 100;
        throw Error(node, $"'{text}' must be a share of one CPU from 0.1% to 100%, such as 5%");
    }

    private bool OnOff(YamlNode node) => Scalar(node) switch
    {
        "on" or "true" => true,
        "off" or "false" => false,
        var text => throw Error(node, $"'{text}' must be on or off"),
    };

    private TimeSpan Duration(YamlNode node, TimeSpan min, TimeSpan max)
    {
        string text = Scalar(node);
        (string unit, double seconds)[] units = [("ms", 0.001), ("s", 1), ("min", 60)];
        foreach ((string unit, double seconds) in units)
        {
            if (text.EndsWith(unit, StringComparison.Ordinal)
                && double.TryParse(text.AsSpan(0, text.Length - unit.Length).Trim(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number))
            {
                TimeSpan value = TimeSpan.FromSeconds(number * seconds);
                if (value >= min && value <= max)
                    return value;
                break;
            }
        }
        throw Error(node, $"'{text}' must be a time with its unit, from {Show(min)} to {Show(max)}, such as 250ms or 3s");

        static string Show(TimeSpan t) => t < TimeSpan.FromSeconds(1) ? $"{t.TotalMilliseconds}ms" : $"{t.TotalSeconds}s";
    }

    private List<int> Nodes(YamlNode node)
    {
        if (node is not YamlSequenceNode sequence)
            throw Error(node, "must be a list of NUMA node numbers, such as [0, 2]");
        return [.. sequence.Children.Select(n => Integer(n, 0, 1023))];
    }

    private ByteRate Rate(YamlNode node) =>
        ByteRate.TryParse(Scalar(node), out ByteRate rate, out string? problem) ? rate : throw Error(node, problem);

    private SizeSpec Pool(YamlNode node)
    {
        string text = Scalar(node);
        if (!SizeSpec.TryParse(text, out SizeSpec size, out string? problem))
            throw Error(node, problem);
        return size.Kind == SizeKind.Auto ? throw Error(node, "'auto' is not a size for the pool; say for example 80% or 64GiB") : size;
    }

    private ConfigException Error(YamlNode node, string message) => new($"{_file}:{node.Start.Line}:{node.Start.Column}: {message}");
}
