// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using static VirtTier.Libvirt.DBus.SdBusNative;

namespace VirtTier.Libvirt.DBus;

/// <summary>
/// <see cref="IBus"/> over libsystemd's sd-bus. A connection of sd-bus belongs to one thread, so this object has one:
/// everything that touches the connection is posted to it.
/// </summary>
public sealed partial class SdBus : IBus
{
    /// <summary>Where the system bus listens unless DBUS_SYSTEM_BUS_ADDRESS says otherwise (D-Bus specification).</summary>
    private const string DefaultSystemBus = "unix:path=/run/dbus/system_bus_socket";

    private static readonly BusState NotYetConnected = new(false, "not connected to the bus yet");

    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    private readonly string _address;
    private readonly ILogger _logger;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly int _wakeFd;
    private readonly Lock _postLock = new();
    private readonly ConcurrentQueue<Action> _posted = new();
    private bool _closed; // under _postLock
    private volatile bool _stopping;
    private volatile BusState _state = NotYetConnected;
    private nint _bus; // the loop thread's own; 0 while there is no connection

    /// <summary>Starts connecting, in the background.</summary>
    /// <param name="logger">Gets the lines about the connection itself.</param>
    /// <param name="address">A D-Bus address; by default that of the system bus.</param>
    public SdBus(ILogger logger, string? address = null)
    {
        _logger = logger;
        _address = address ?? Environment.GetEnvironmentVariable("DBUS_SYSTEM_BUS_ADDRESS") ?? DefaultSystemBus;
        _wakeFd = LibC.eventfd(0, LibC.EventFdFlags);
        if (_wakeFd < 0)
            throw BusException.FromErrno(-Marshal.GetLastPInvokeError(), "eventfd");
        _thread = new Thread(Run) { IsBackground = true, Name = "d-bus" };
        _thread.Start();
    }

    /// <inheritdoc/>
    public event Action<BusState>? StateChanged;

    /// <inheritdoc/>
    public BusState State => _state;

    /// <summary>Closes the connection; calls under way fail as disconnected.</summary>
    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        lock (_postLock)
        {
            if (!_closed)
                LibC.SignalEventFd(_wakeFd);
        }

        await _ended.Task.ConfigureAwait(false);
    }

    /// <summary>Runs an action on the loop thread; false when that has ended.</summary>
    private bool Post(Action action)
    {
        lock (_postLock)
        {
            if (_closed)
                return false;
            _posted.Enqueue(action);
            LibC.SignalEventFd(_wakeFd);
            return true;
        }
    }

    private void Run()
    {
        TimeSpan pause = ShortestPause;
        while (!_stopping)
        {
            string reason = "closed";
            try
            {
                Connect();
                Serve();
            }
            catch (BusException e)
            {
                reason = e.Message;
            }

            bool wasConnected = _state.Connected;
            Close();
            SetState(new BusState(false, $"the bus at {_address} is not reachable ({reason})"));
            pause = wasConnected ? ShortestPause : pause;
            WaitWhileDisconnected(pause);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }

        lock (_postLock)
            _closed = true;
        RunPosted(); // with no connection, whatever still waits is refused
        _ = LibC.close(_wakeFd);
        _ended.SetResult();
    }

    private void Connect()
    {
        Check(sd_bus_new(out _bus), "create a connection");
        Check(sd_bus_set_address(_bus, _address), "set the address");
        Check(sd_bus_set_bus_client(_bus, 1), "set up as a client");
        Check(sd_bus_start(_bus), "connect");
        InstallDeclarations();
    }

    private void Serve()
    {
        while (!_stopping)
        {
            RunPosted();
            int handled = Check(sd_bus_process(_bus, 0), "process");
            if (sd_bus_is_open(_bus) <= 0)
                throw new BusException(BusException.Disconnected, "the connection was closed");
            if (!_state.Connected && sd_bus_is_ready(_bus) > 0)
                SetState(new BusState(true, null));
            if (handled == 0)
                PollConnection();
        }
    }

    private void PollConnection()
    {
        Check(sd_bus_get_timeout(_bus, out ulong until), "get the time limit");
        int milliseconds = until == ulong.MaxValue ? -1 : MillisecondsUntil(until);
        short events = (short)Check(sd_bus_get_events(_bus), "get the events to wait for");
        Poll(sd_bus_get_fd(_bus), events, milliseconds);
    }

    /// <summary>Milliseconds, rounded up, until an absolute CLOCK_MONOTONIC time, which is also what Stopwatch reads.</summary>
    private static int MillisecondsUntil(ulong microseconds)
    {
        long now = System.Diagnostics.Stopwatch.GetTimestamp() / (System.Diagnostics.Stopwatch.Frequency / 1_000_000);
        return (int)Math.Clamp(((long)microseconds - now + 999) / 1000, 0, int.MaxValue);
    }

    private void WaitWhileDisconnected(TimeSpan pause)
    {
        long end = Environment.TickCount64 + (long)pause.TotalMilliseconds;
        for (long left = (long)pause.TotalMilliseconds; left > 0 && !_stopping; left = end - Environment.TickCount64)
        {
            RunPosted();
            Poll(-1, 0, (int)left);
        }
    }

    private unsafe void Poll(int fd, short events, int milliseconds)
    {
        LibC.PollFd* fds = stackalloc LibC.PollFd[2];
        fds[0] = new() { Fd = _wakeFd, Events = LibC.POLLIN };
        fds[1] = new() { Fd = fd, Events = events }; // a negative fd is passed over
        if (LibC.poll(fds, 2, milliseconds) > 0 && fds[0].Revents != 0)
            LibC.ClearEventFd(_wakeFd);
    }

    private void RunPosted()
    {
        while (_posted.TryDequeue(out Action? action))
        {
            try
            {
                action();
            }
#pragma warning disable CA1031 // one faulty message must not end the connection of all others
            catch (Exception e)
#pragma warning restore CA1031
            {
                Log.BusHandlerFailed(_logger, e, "a posted action");
            }
        }
    }

    private void Close()
    {
        FailPendingCalls();
        UninstallDeclarations();
        if (_bus != 0)
            _bus = sd_bus_close_unref(_bus);
    }

    private void SetState(BusState state)
    {
        if (state == _state)
            return;
        if (state.Connected != _state.Connected || _state == NotYetConnected)
        {
            if (state.Connected)
                Log.BusConnected(_logger, _address);
            else if (!_stopping)
                Log.BusLost(_logger, state.Reason!);
        }

        _state = state;
        try
        {
            StateChanged?.Invoke(state);
        }
#pragma warning disable CA1031 // a subscriber's fault must not end the connection of all others
        catch (Exception e)
#pragma warning restore CA1031
        {
            Log.BusHandlerFailed(_logger, e, "StateChanged");
        }
    }

    /// <summary>Entry from native code; <paramref name="userdata"/> is a GCHandle to a Func&lt;message, result&gt;.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static unsafe int OnNativeCallback(nint message, nint userdata, Error* error)
    {
        var (bus, callback) = ((SdBus, Func<nint, int>))GCHandle.FromIntPtr(userdata).Target!;
        try
        {
            return callback(message);
        }
#pragma warning disable CA1031 // an exception must never unwind through libsystemd's frames
        catch (Exception e)
#pragma warning restore CA1031
        {
            Log.BusHandlerFailed(bus._logger, e, Text(sd_bus_message_get_member(message)));
            return 0;
        }
    }

    private GCHandle HandleFor(Func<nint, int> callback) => GCHandle.Alloc((this, callback));
}
