// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>All findings.</summary>
/// <param name="Severity">The worst of them.</param>
/// <param name="Findings">In the order in which they were looked for.</param>
internal sealed record DoctorReport(Severity Severity, IReadOnlyList<Finding> Findings)
{
    private static readonly IDoctorCheck[] s_checks =
    [
        new KernelCheck(), new ModuleCheck(), new TiersCheck(), new InterferenceCheck(), new ServicesCheck(), new SourcesCheck(),
        new HookCheck(), new RightsCheck(), new DomainsCheck(),
    ];

    /// <summary>Looks at everything; a check that fails itself is an error among the findings.</summary>
    /// <param name="host">The host.</param>
    /// <param name="configProblem">What is wrong with the configuration; null when nothing is.</param>
    /// <param name="cancel">Ends it.</param>
    public static async Task<DoctorReport> MakeAsync(DoctorHost host, string? configProblem, CancellationToken cancel)
    {
        List<Finding> findings =
        [
            configProblem is null
                ? Finding.Ok("configuration", "can be used")
                : Finding.Error("configuration", configProblem, "editor /etc/virttier/virttier.yaml && virttier reload"),
        ];
        foreach (IDoctorCheck check in s_checks)
        {
            try
            {
                findings.AddRange(await check.LookAsync(host, cancel));
            }
#pragma warning disable CA1031 // one check that fails, whatever the host did to it, must not hide what the others find
            catch (Exception e) when (e is not OperationCanceledException)
#pragma warning restore CA1031
            {
                findings.Add(Finding.Error(check.GetType().Name, $"could not be looked at: {Shorten.Sentence(e.Message)}",
                    "virttier doctor --json  # and report it"));
            }
        }
        return new DoctorReport(findings.Max(f => f.Severity), findings);
    }

    /// <summary>0: ready, 1: warnings, 2: errors.</summary>
    [JsonIgnore]
    public int ExitStatus => Severity switch
    {
        Severity.Error => 2,
        Severity.Warning => 1,
        _ => 0,
    };

    public string ToJson() => JsonSerializer.Serialize(this, DoctorJson.Default.DoctorReport);

    /// <summary>A line a finding, the command that mends it below, and a count.</summary>
    public IEnumerable<string> ToMarkup()
    {
        int width = Findings.Max(f => f.Check.Length);
        foreach (Finding finding in Findings)
        {
            yield return $"{Label(finding.Severity)}  {finding.Check.PadRight(width).EscapeMarkup()}  "
                + $"{finding.Text.EscapeMarkup()}";
            string lead = finding.Severity == Severity.Note ? "to change it" : "mend it with";
            if (finding.Mend is not null)
                yield return $"       {new string(' ', width)}  [bold]{lead}: {finding.Mend.EscapeMarkup()}[/]";
        }
        int errors = Findings.Count(f => f.Severity == Severity.Error),
            warnings = Findings.Count(f => f.Severity == Severity.Warning);
        yield return errors + warnings == 0 ? "[green]this host is ready[/]" : $"{errors} errors, {warnings} warnings";
    }

    /// <summary>Writes it for people. No line is broken, so that a command can be copied whole.</summary>
    public void WriteTo(IAnsiConsole console)
    {
        console.Profile.Width = int.MaxValue;
        console.Markup(string.Concat(ToMarkup().Select(line => line + "\n")));
    }

    private static string Label(Severity severity) => severity switch
    {
        Severity.Ok => "[green]ok   [/]",
        Severity.Note => "[blue]note [/]",
        Severity.Warning => "[yellow]warn [/]",
        _ => "[red]error[/]",
    };
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(DoctorReport))]
internal sealed partial class DoctorJson : JsonSerializerContext;
