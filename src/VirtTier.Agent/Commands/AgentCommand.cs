// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using VirtTier.Agent.Configuration;
using VirtTier.Memory.Numa;
using VirtTier.Memory;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier agent</c>: the daemon.</summary>
internal static class AgentCommand
{
    public static Command Create()
    {
        Option<string> config = new("--config")
        {
            HelpName = "FILE",
            Description = "Configuration file; all defaults when it does not exist",
            DefaultValueFactory = _ => AgentConfig.DefaultPath,
        };
        Option<bool> check = new("--check")
        {
            Description = "Check the configuration, by itself and against this host, say what is wrong, and exit",
        };
        Option<LogLevel> logLevel = WordOption.Of("--log-level", "Least level that is logged", LogLevel.Information);
        Command command = new("agent", "Run the agent (systemd does: virttier.service)") { config, check, logLevel };
        command.SetAction((result, cancel) => RunAsync(
            result.GetRequiredValue(config), result.GetValue(check), result.GetValue(logLevel), cancel));
        return command;
    }

    private static async Task<int> RunAsync(string configPath, bool check, LogLevel logLevel, CancellationToken cancel)
    {
        try
        {
            if (check)
                return ConfigCheck.Run(configPath, () => NumaTopology.Read(), Console.Out);
            AgentConfig config = ConfigReader.ReadFile(configPath);
            using ILoggerFactory logs = LoggerFactory.Create(builder => builder
                .SetMinimumLevel(logLevel)
                .AddConsole(options => options.FormatterName = LogLine.FormatterName)
                .Services.AddSingleton<ConsoleFormatter, LogLine>());
            await AgentDaemon.RunAsync(configPath, config, logs, cancel);
            return ExitCode.Success;
        }
        catch (ConfigException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return ExitCode.BadInput;
        }
        catch (GuestMemoryException e)
        {
            // The host's, not the configuration's: it may be mended, or come later, so that systemd is to try again.
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return ExitCode.Attention;
        }
    }
}
