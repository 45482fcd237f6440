// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace VirtTier.TestSupport;

/// <summary>A daemon started by a test, its output in a file. It is always ended by its own pid.</summary>
internal sealed class Daemon : IDisposable
{
    internal const int SigKill = 9, SigTerm = 15, SigStop = 19, SigCont = 18;

    private readonly Process _process;

    private Daemon(Process process) => _process = process;

    internal int Pid => _process.Id;

    internal bool HasEnded => _process.HasExited;

    /// <summary>
    /// Starts a program; the shell and env in between are replaced by it, so that the pid is the program's own. It begins with
    /// the usual actions of signals: where the tests run under nohup or in the background,
    /// SIGHUP or SIGINT would be ignored in it.
    /// </summary>
    internal static Daemon Start(string logFile, IReadOnlyDictionary<string, string> environment, params string[] command)
    {
        ProcessStartInfo start = new("/bin/sh")
        {
            ArgumentList = { "-c", "exec env --default-signal \"$@\" >>\"$DAEMON_LOG\" 2>&1 </dev/null", "sh" },
            Environment = { ["DAEMON_LOG"] = logFile },
        };
        foreach (string argument in command)
            start.ArgumentList.Add(argument);
        foreach ((string name, string value) in environment)
            start.Environment[name] = value;
        return new(Process.Start(start)!);
    }

    internal void Signal(int signal)
    {
        if (!HasEnded) // its pid may be another's by then
            SignalPid(Pid, signal);
    }

    internal async Task EndAsync(int signal = SigTerm)
    {
        if (HasEnded)
            return;
        Signal(signal);
        using CancellationTokenSource limit = new(Eventually.Limit);
        await _process.WaitForExitAsync(limit.Token);
    }

    public void Dispose()
    {
        if (!HasEnded)
            _process.Kill();
        _process.Dispose();
    }

    internal static void SignalPid(int pid, int signal) => _ = Tmds.Linux.LibC.kill(pid, signal);
}
