// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>
/// What hints have come in since the last pass: any number of them about one domain is one mark. Safe for all threads.
/// </summary>
internal sealed class PendingWork
{
    private readonly Lock _lock = new();
    private HashSet<string> _paths = []; // under _lock
    private bool _everything; // under _lock
    private readonly Dictionary<string, LifecycleNews> _news = []; // by object path; under _lock
    private long _events; // under _lock
    private TaskCompletionSource _woken = NewSignal(); // under _lock

    /// <summary>The object paths of the domains to read anew; or all of them.</summary>
    internal readonly record struct Marks(IReadOnlySet<string> Paths, bool Everything)
    {
        internal bool Include(string path) => Everything || Paths.Contains(path);
    }

    /// <summary>Completes when there is a reason for a pass.</summary>
    internal Task Woken
    {
        get
        {
            lock (_lock)
                return _woken.Task;
        }
    }

    /// <summary>How many lifecycle events there have been: what libvirt is asked now, it knows after all of these.</summary>
    internal long EventsSoFar
    {
        get
        {
            lock (_lock)
                return _events;
        }
    }

    /// <summary>Asks for a pass.</summary>
    internal void Wake()
    {
        lock (_lock)
            _woken.TrySetResult();
    }

    /// <summary>Asks for a pass that reads a domain anew.</summary>
    internal void Mark(string path)
    {
        lock (_lock)
        {
            _paths.Add(path);
            _woken.TrySetResult();
        }
    }

    /// <summary>The same for a lifecycle event, which is also news of its own.</summary>
    internal void MarkEvent(string path, int kind)
    {
        lock (_lock)
        {
            _news[path] = _news.GetValueOrDefault(path).With(kind, ++_events);
            Mark(path);
        }
    }

    /// <summary>What lifecycle events have said since the last <see cref="Take"/>, by object path.</summary>
    internal KeyValuePair<string, LifecycleNews>[] News()
    {
        lock (_lock)
            return [.. _news];
    }

    /// <summary>Asks for a pass that reads every domain anew.</summary>
    internal void MarkEverything()
    {
        lock (_lock)
        {
            _everything = true;
            _woken.TrySetResult();
        }
    }

    /// <summary>Takes the marks at the start of a pass: a hint that comes during the pass asks for another one.</summary>
    internal Marks Take()
    {
        lock (_lock)
        {
            Marks taken = new(_paths, _everything);
            _paths = [];
            _everything = false;
            _news.Clear();
            if (_woken.Task.IsCompleted)
                _woken = NewSignal();
            return taken;
        }
    }

    /// <summary>Puts back what a pass could not do, for the next one, without asking for that.</summary>
    internal void PutBack(IEnumerable<string> paths, bool everything)
    {
        lock (_lock)
        {
            _paths.UnionWith(paths);
            _everything |= everything;
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
