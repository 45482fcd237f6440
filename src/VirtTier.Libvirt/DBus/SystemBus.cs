// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using Tmds.DBus.Protocol;

namespace VirtTier.Libvirt.DBus;

/// <summary>
/// <see cref="IBus"/> over Tmds.DBus.Protocol. One of its connections lives once, so this object makes a new one whenever the bus
/// comes back, and puts on it what was declared.
/// </summary>
/// <remarks>
/// The library has no thread of its own: its handlers, and what awaits its calls, run on the pool thread that reads the socket,
/// and hold it up while they run. So nothing here but handlers of signals runs there; results go to another thread.
/// </remarks>
public sealed partial class SystemBus : IBus
{
    /// <summary>Where the system bus listens unless DBUS_SYSTEM_BUS_ADDRESS says otherwise (D-Bus specification).</summary>
    private const string DefaultSystemBus = "unix:path=/run/dbus/system_bus_socket";

    private static readonly BusState s_notYetConnected = new(false, "not connected to the bus yet");

    // A bus that hangs accepts a connection and never answers on it.
    private static readonly TimeSpan s_connectLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_shortestPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(5);

    private readonly string _address;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _running;
    private readonly Lock _lock = new();
    private DBusConnection? _connection; // under _lock; null while there is none
    private TaskCompletionSource<DBusConnection?> _attempt = NewAttempt(); // under _lock; its result is null when it failed
    private volatile BusState _state = s_notYetConnected;

    /// <summary>Starts connecting, in the background.</summary>
    /// <param name="logger">Gets the lines about the connection itself.</param>
    /// <param name="address">A D-Bus address; by default that of the system bus.</param>
    public SystemBus(ILogger logger, string? address = null)
    {
        _logger = logger;
        _address = address ?? Environment.GetEnvironmentVariable("DBUS_SYSTEM_BUS_ADDRESS") ?? DefaultSystemBus;
        _running = Task.Run(RunAsync);
    }

    /// <inheritdoc/>
    public event Action<BusState>? StateChanged;

    /// <inheritdoc/>
    public BusState State => _state;

    /// <summary>Closes the connection; calls under way fail as disconnected.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
    }

    private static TaskCompletionSource<DBusConnection?> NewAttempt() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task RunAsync()
    {
        TimeSpan pause = s_shortestPause;
        while (true)
        {
            string reason = await ServeOneConnectionAsync().ConfigureAwait(false);
            pause = _state.Connected ? s_shortestPause : pause;
            SetState(new BusState(false, $"the bus at {_address} is not reachable ({reason})"));
            // Only now: who waited for the attempt is told why it failed.
            _attempt.TrySetResult(null);
            if (_stopping.IsCancellationRequested)
                return;
            await Task.Delay(pause, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            pause = pause * 2 < s_longestPause ? pause * 2 : s_longestPause;
            if (_stopping.IsCancellationRequested)
                return;
            lock (_lock)
                _attempt = NewAttempt();
        }
    }

    /// <summary>Connects, and returns when that failed or the connection has ended, with the reason.</summary>
    private async Task<string> ServeOneConnectionAsync()
    {
        DBusConnection? connection = null;
        try
        {
            connection = new(new DBusConnectionOptions(_address) { OnException = KeepAlive });
            Task<Exception?> disconnected = await OffTheReader(ConnectAsync(connection))
                .WaitAsync(s_connectLimit, _stopping.Token).ConfigureAwait(false);
            lock (_lock)
            {
                _connection = connection;
                foreach (Declaration declaration in _declarations)
                    declaration.Install(connection);
            }

            SetState(new BusState(true, null));
            _attempt.TrySetResult(connection);
            Exception? end = await OffTheReader(disconnected).WaitAsync(_stopping.Token).ConfigureAwait(false);
            return end?.Message ?? "the connection was closed";
        }
#pragma warning disable CA1031 // whatever keeps it from connecting, it is tried again, and said
        catch (Exception e)
#pragma warning restore CA1031
        {
            return _stopping.IsCancellationRequested ? "closed" : IsMissingSocket() ? "there is no such socket" : e.Message;
        }
        finally
        {
            lock (_lock)
                _connection = null;
            connection?.Dispose();
        }
    }

    // .NET says of it that the address cannot be assigned.
    private bool IsMissingSocket() =>
        _address.StartsWith("unix:path=", StringComparison.Ordinal) && _address.IndexOfAny([',', ';']) < 0
            && !File.Exists(_address["unix:path=".Length..]);

    // A fault in a handler ends the connection of all others, if nobody says no.
    private void KeepAlive(DBusConnection.ExceptionContext context)
    {
        if (context.Source == DBusConnection.ExceptionSource.ConnectionFailed)
            return;
        context.DisconnectConnection = false;
        Log.BusHandlerFailed(_logger, context.Exception, context.Source.ToString());
    }

    private void SetState(BusState state)
    {
        if (state == _state)
            return;
        if (state.Connected != _state.Connected || _state == s_notYetConnected)
        {
            if (state.Connected)
                Log.BusConnected(_logger, _address);
            else if (!_stopping.IsCancellationRequested)
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

    private static async Task<Task<Exception?>> ConnectAsync(DBusConnection connection)
    {
        await connection.ConnectAsync().ConfigureAwait(false);
        return connection.DisconnectedAsync();
    }

    /// <summary>
    /// The task's outcome on a thread of the pool: what awaits the library's own tasks runs on the thread that reads the socket.
    /// A fault that nobody waits for any more is nobody's business.
    /// </summary>
    private static Task<T> OffTheReader<T>(Task<T> task)
    {
        _ = task.ContinueWith(static t => _ = t.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted,
            TaskScheduler.Default);
        return task.ContinueWith(static t => t, CancellationToken.None, TaskContinuationOptions.None,
            TaskScheduler.Default).Unwrap();
    }
}
