// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using static VirtTier.Libvirt.DBus.SdBusNative;

namespace VirtTier.Libvirt.DBus;

// What outlives a connection: signal matches, exported objects, names. Each is installed again on a new connection.
public sealed unsafe partial class SdBus
{
    private readonly List<Declaration> _declarations = []; // the loop thread's own

    /// <inheritdoc/>
    public IDisposable Subscribe(string matchRule, Action<BusSignal> handler)
    {
        int OnSignal(nint message)
        {
            handler(ReadSignal(message));
            return 0;
        }

        nint Install(nint userdata)
        {
            Check(sd_bus_add_match_async(_bus, out nint slot, matchRule, &OnNativeCallback, null, userdata),
                $"subscribe to {matchRule}");
            return slot;
        }

        return Declare(new Declaration(this, OnSignal, Install));
    }

    /// <inheritdoc/>
    public void OwnName(string name)
    {
        int OnAnswer(nint message)
        {
            Error* error = sd_bus_message_get_error(message);
            if (error != null)
                Log.BusNameRefused(_logger, name, Text(error->Message));
            return 1;
        }

        nint Install(nint userdata)
        {
            Check(sd_bus_request_name_async(_bus, out nint slot, name, NameQueue, &OnNativeCallback, userdata),
                $"own the name {name}");
            return slot;
        }

        Declare(new Declaration(this, OnAnswer, Install));
    }

    private Declaration Declare(Declaration declaration)
    {
        Post(() =>
        {
            _declarations.Add(declaration);
            if (_bus != 0)
                declaration.TryInstall();
        });
        return declaration;
    }

    private void InstallDeclarations()
    {
        foreach (Declaration declaration in _declarations)
            declaration.TryInstall();
    }

    private void UninstallDeclarations()
    {
        foreach (Declaration declaration in _declarations)
            declaration.Uninstall();
    }

    private static BusSignal ReadSignal(nint message) => new(
        Text(sd_bus_message_get_sender(message)),
        Text(sd_bus_message_get_path(message)),
        Text(sd_bus_message_get_interface(message)),
        Text(sd_bus_message_get_member(message)),
        MessageCodec.Decode(message));

    /// <summary>Something asked of the bus once and installed on each connection anew.</summary>
    private sealed class Declaration(SdBus bus, Func<nint, int> callback, Func<nint, nint> install) : IDisposable
    {
        private nint _slot;
        private GCHandle _handle;

        public void Dispose() => bus.Post(() =>
        {
            if (bus._declarations.Remove(this))
                Uninstall();
        });

        internal void TryInstall()
        {
            _handle = bus.HandleFor(callback);
            try
            {
                _slot = install(GCHandle.ToIntPtr(_handle));
            }
            catch (BusException e)
            {
                _handle.Free();
                Log.BusDeclarationFailed(bus._logger, e.Message);
            }
        }

        internal void Uninstall()
        {
            if (_slot == 0)
                return;
            _slot = sd_bus_slot_unref(_slot);
            _handle.Free();
        }
    }
}
