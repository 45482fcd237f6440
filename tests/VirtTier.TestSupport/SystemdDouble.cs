// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Libvirt.DBus;

namespace VirtTier.TestSupport;

/// <summary>
/// As much of systemd's manager as the real systemd-machined needs of it on a private host: scopes that are started with a
/// process in them, are active until they are stopped or their last process has ended, and have a cgroup of systemd's own
/// hierarchy, in which libvirt looks for its machine.
/// </summary>
internal sealed class SystemdDouble : IAsyncDisposable
{
    private const string ManagerPath = "/org/freedesktop/systemd1", ManagerInterface = "org.freedesktop.systemd1.Manager";

    /// <summary>Where cgroups of version 1 named systemd, or of version 2, are mounted: the first that is there.</summary>
    private static readonly string[] s_hierarchies = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

    private readonly SystemBus _bus;

    /// <summary>A cgroup of this double's own: hosts side by side have scopes of the same names.</summary>
    private readonly string _cgroups = Path.Combine(
        s_hierarchies.First(directory => File.Exists(Path.Combine(directory, "cgroup.procs"))), $"vt-{Guid.NewGuid():N}");

    private readonly Lock _lock = new();
    private readonly Dictionary<string, (IDisposable Export, string Cgroup)> _units = []; // by name; under _lock
    private readonly Timer _watch;
    private uint _jobs;

    internal SystemdDouble(string busAddress)
    {
        _bus = new(new FakeLog(), busAddress);
        _bus.Export(ManagerPath, "<node/>", call => Task.FromResult(Answer(call)));
        _bus.OwnName("org.freedesktop.systemd1");
        _watch = new Timer(_ => RemoveEmpty(), null, TimeSpan.FromMilliseconds(100), TimeSpan.FromMilliseconds(100));
    }

    /// <summary>The scopes that are active.</summary>
    internal IReadOnlyList<string> Units
    {
        get
        {
            lock (_lock)
                return [.. _units.Keys.Order(StringComparer.Ordinal)];
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _watch.DisposeAsync();
        await _bus.DisposeAsync();
        if (!Directory.Exists(_cgroups))
            return;
        foreach (string cgroup in Directory.EnumerateDirectories(_cgroups, "*", SearchOption.AllDirectories)
            .Order(StringComparer.Ordinal).Reverse().Append(_cgroups))
            TryRemove(cgroup);
    }

    private BusBody Answer(BusMethodCall call) => call.Member switch
    {
        "Subscribe" => BusBody.Empty,
        "StartTransientUnit" => StartUnit(call.Body.Get<string>(0), call.Body.Get<object[]>(2)),
        "StopUnit" => StopUnit(call.Body.Get<string>(0)),
        "KillUnit" => BusBody.Empty,
        _ => throw BusException.ForUnknownMethod(call),
    };

    private BusBody StartUnit(string name, object[] properties)
    {
        string slice = "machine.slice";
        uint[] pids = [];
        foreach (object property in properties)
        {
            switch (property)
            {
                case object[] and ["Slice", string text]:
                    slice = text;
                    break;
                case object[] and ["PIDs", object[] numbers]:
                    pids = [.. numbers.Cast<uint>()];
                    break;
            }
        }

        string cgroup = Path.Combine(_cgroups, slice, name);
        Directory.CreateDirectory(cgroup);
        foreach (uint pid in pids)
            File.WriteAllText(Path.Combine(cgroup, "cgroup.procs"), pid.ToString(CultureInfo.InvariantCulture));
        lock (_lock)
        {
            _units[name] = (_bus.Export(PathOf(name), "<node/>",
                call => Task.FromResult(new BusBody("v", new Variant("s", "active")))), cgroup);
        }
        return EndJob(name);
    }

    private BusBody StopUnit(string name)
    {
        BusBody job = EndJob(name);
        Remove(name);
        return job;
    }

    private void Remove(string name)
    {
        lock (_lock)
        {
            if (!_units.Remove(name, out (IDisposable Export, string Cgroup) unit))
                return;
            unit.Export.Dispose();
        }
        _bus.Emit(new("", ManagerPath, ManagerInterface, "UnitRemoved", new("so", name, PathOf(name))));
    }

    private void RemoveEmpty()
    {
        string[] empty;
        lock (_lock)
            empty = [.. _units.Where(unit => IsEmpty(unit.Value.Cgroup)).Select(unit => unit.Key)];
        foreach (string name in empty)
            Remove(name);
    }

    private static bool IsEmpty(string cgroup) => !Directory.Exists(cgroup)
        || Directory.EnumerateFiles(cgroup, "cgroup.procs", SearchOption.AllDirectories).All(
            file => ReadOrNothing(file).Length == 0);

    private static string ReadOrNothing(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            return ""; // libvirtd has removed the cgroup
        }
    }

    /// <summary>A job that ends as soon as whoever asked for it has its name.</summary>
    private BusBody EndJob(string unit)
    {
        uint number = Interlocked.Increment(ref _jobs);
        string path = string.Create(CultureInfo.InvariantCulture, $"{ManagerPath}/job/{number}");
        _ = Task.Delay(TimeSpan.FromMilliseconds(20)).ContinueWith(
            _ => _bus.Emit(new("", ManagerPath, ManagerInterface, "JobRemoved", new("uoss", number, path, unit, "done"))),
            TaskScheduler.Default);
        return new BusBody("o", path);
    }

    /// <summary>systemd's: each byte that is neither letter nor digit in hexadecimal.</summary>
    private static string PathOf(string unit) => $"{ManagerPath}/unit/" + string.Concat(unit.Select(
        c => char.IsAsciiLetterOrDigit(c) ? c.ToString() : string.Create(CultureInfo.InvariantCulture, $"_{(int)c:x2}")));

    private static void TryRemove(string cgroup)
    {
        try
        {
            Directory.Delete(cgroup);
        }
        catch (IOException)
        {
            // Somebody is in it still: it stays, empty in a moment.
        }
    }
}
