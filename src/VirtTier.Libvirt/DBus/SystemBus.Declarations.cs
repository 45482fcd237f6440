// SPDX-License-Identifier: Apache-2.0
using Tmds.DBus.Protocol;

namespace VirtTier.Libvirt.DBus;

// What outlives a connection: signal matches, exported objects, names. Each is installed again on a new connection.
public sealed partial class SystemBus
{
    private readonly List<Declaration> _declarations = []; // under _lock

    /// <inheritdoc/>
    public IDisposable Subscribe(string matchRule, Action<BusSignal> handler)
    {
        MatchRule rule = MatchRules.Parse(matchRule);
        Declaration? declaration = null;
        declaration = new Declaration(this, async connection => await connection.AddMatchAsync(
            rule, ReadSignal, OnSignal, emitOnCapturedContext: false, ObserverFlags.None).ConfigureAwait(false));
        return Declare(declaration);

        BusSignal? ReadSignal(Message message, object? state)
        {
            try
            {
                return MessageCodec.DecodeSignal(message);
            }
#pragma warning disable CA1031 // one faulty message must not end the subscription
            catch (Exception e)
#pragma warning restore CA1031
            {
                Log.BusHandlerFailed(_logger, e, message.MemberAsString ?? matchRule);
                return null;
            }
        }

        void OnSignal(Notification<BusSignal?> notification)
        {
            if (!notification.HasValue || notification.Value is not { } signal || declaration is null or { IsDisposed: true })
                return;
            try
            {
                handler(signal);
            }
#pragma warning disable CA1031 // one faulty handler must not end the subscription, nor the connection of all others
            catch (Exception e)
#pragma warning restore CA1031
            {
                Log.BusHandlerFailed(_logger, e, signal.Member);
            }
        }
    }

    /// <inheritdoc/>
    public IDisposable Export(string path, string introspection, Func<BusMethodCall, Task<BusBody>> handler)
    {
        MessageCodec.RequirePath(path);
        ExportedObject exported = new(path, introspection, handler);
        return Declare(new Declaration(this, connection =>
        {
            connection.AddMethodHandler(exported);
            return Task.FromResult<IDisposable?>(new Removal(connection, path));
        }));
    }

    /// <inheritdoc/>
    public void OwnName(string name) => Declare(new Declaration(this, async connection =>
    {
        try
        {
            await connection.QueueNameRequestAsync(name, RequestNameOptions.None).ConfigureAwait(false);
        }
        catch (DBusErrorReplyException e)
        {
            Log.BusNameRefused(_logger, name, e.ErrorMessage);
        }

        return null;
    }));

    private Declaration Declare(Declaration declaration)
    {
        lock (_lock)
        {
            _declarations.Add(declaration);
            if (_connection is { } connection)
                declaration.Install(connection);
        }

        return declaration;
    }

    /// <summary>Something asked of the bus once and installed on each connection anew.</summary>
    /// <param name="bus">Where it holds.</param>
    /// <param name="install">Asks for it; what goes out must go out before the first await. Gives what takes it back.</param>
    private sealed class Declaration(SystemBus bus, Func<DBusConnection, Task<IDisposable?>> install) : IDisposable
    {
        private Task<IDisposable?> _installed = Task.FromResult<IDisposable?>(null); // under the bus's lock

        internal volatile bool IsDisposed;

        internal void Install(DBusConnection connection) => _installed = InstallAsync(connection);

        public void Dispose()
        {
            lock (bus._lock)
            {
                if (!bus._declarations.Remove(this))
                    return;
                IsDisposed = true;
                // It may still be on its way.
                _ = _installed.ContinueWith(static t => t.Result?.Dispose(), TaskScheduler.Default);
            }
        }

        private async Task<IDisposable?> InstallAsync(DBusConnection connection)
        {
            try
            {
                return await install(connection).ConfigureAwait(false);
            }
#pragma warning disable CA1031 // what is refused is said; the connection and all other declarations go on
            catch (Exception e)
#pragma warning restore CA1031
            {
                if (e is not (DBusConnectionClosedException or ObjectDisposedException)) // it is asked for again on the next one
                    Log.BusDeclarationFailed(bus._logger, e.Message);
                return null;
            }
        }
    }

    private sealed class Removal(DBusConnection connection, string path) : IDisposable
    {
        public void Dispose()
        {
            try
            {
                connection.RemoveMethodHandler(path);
            }
            catch (ObjectDisposedException)
            {
                // It went with its connection.
            }
        }
    }
}
