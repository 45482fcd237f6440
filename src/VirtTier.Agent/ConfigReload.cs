// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VirtTier.Agent.Configuration;

namespace VirtTier.Agent;

/// <summary>
/// Reads the configuration again while the agent runs, when asked over D-Bus or by SIGHUP. A file that cannot be used changes
/// nothing. One reload at a time.
/// </summary>
internal sealed class ConfigReload : IDisposable
{
    private readonly string _path;
    private readonly Func<AgentConfig, Task> _apply;
    private readonly LoopWatch _loops;
    private readonly ILogger _log;
    private readonly SemaphoreSlim _one = new(1);
    private readonly PosixSignalRegistration _hangUp;

    /// <param name="path">The configuration file.</param>
    /// <param name="apply">Puts a configuration in force; throws <see cref="ConfigException"/>, having changed nothing, if it
    /// does not fit the host.</param>
    /// <param name="loops">Watches each reload.</param>
    /// <param name="log">Gets a line for each reload.</param>
    public ConfigReload(string path, Func<AgentConfig, Task> apply, LoopWatch loops, ILogger log)
    {
        _path = path;
        _apply = apply;
        _loops = loops;
        _log = log;
        _hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnHangUp);
    }

    /// <exception cref="ConfigException">The file says something that cannot be used;
    /// the message says where and what.</exception>
    public async Task RunAsync()
    {
        await _one.WaitAsync();
        using WatchedLoop loop = _loops.Add("reading the configuration again", LoopWatch.UsualLimit);
        try
        {
            AgentConfig config = ConfigReader.ReadFile(_path);
            await _apply(config);
            _log.Reloaded();
            foreach (string warning in config.Warnings)
                _log.HostProblem(warning);
            if (config.IsEmptyFile)
                _log.ConfigEmpty(_path);
        }
        catch (ConfigException e)
        {
            _log.ReloadFailed(e.Message);
            throw;
        }
        catch (Exception e)
        {
            // Of a SIGHUP nobody would hear it otherwise: the task that reloads has no one who waits for it.
            ConfigException failure = new($"{_path}: cannot be put in force: {e.Message}", e);
            _log.ReloadFailed(failure.Message);
            throw failure;
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose()
    {
        _hangUp.Dispose();
        _one.Dispose();
    }

    private void OnHangUp(PosixSignalContext signal)
    {
        signal.Cancel = true; // the default is to end
        _ = Task.Run(async () =>
        {
            try
            {
                await RunAsync();
            }
            catch (ConfigException)
            {
                // Logged; nobody waits for an answer.
            }
        });
    }
}
