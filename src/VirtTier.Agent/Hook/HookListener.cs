// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt;
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;

namespace VirtTier.Agent.Hook;

/// <summary>
/// What libvirt's qemu hook says. libvirt waits for the hook with the domain locked, so all answers are from memory, and libvirt
/// is looked at only some time after the answer. Safe for all threads.
/// </summary>
internal sealed class HookListener(AdmissionControl admission, Action wake, TimeProvider time, ILogger log) : IDisposable
{
    /// <summary>
    /// The hook sends its message while libvirt waits for it; a look at libvirt before the hook has ended, some milliseconds
    /// later, would only be held up.
    /// </summary>
    private static readonly TimeSpan s_untilLook = TimeSpan.FromMilliseconds(50);

    /// <summary>libvirt accepts no larger definition (VIR_NET_MESSAGE_MAX).</summary>
    private const int MostBytes = 32 << 20;

    private readonly Lock _lock = new();
    private ITimer? _look; // under _lock; null while none is due
    private long _calls;

    /// <summary>Messages so far.</summary>
    public long Calls => Interlocked.Read(ref _calls);

    /// <summary>A domain comes or goes.</summary>
    /// <param name="operation">libvirt's name of what happens, such as <c>started</c>.</param>
    /// <param name="xmlFile">The file with its XML.</param>
    public void Notify(string operation, string xmlFile)
    {
        Interlocked.Increment(ref _calls);
        if (operation is "stopped" or "release" && Read(xmlFile) is DomainDefinition domain)
            admission.Forget(domain.Key);
        LookSoon();
    }

    /// <summary>A domain wants to start.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="xmlFile">The file with its XML.</param>
    /// <returns>Why it may not; null when it may. What cannot be read may.</returns>
    public string? Admit(string name, string xmlFile)
    {
        Interlocked.Increment(ref _calls);
        string? refusal = Read(xmlFile) is DomainDefinition domain ? admission.Admit(domain) : null;
        if (refusal is not null)
            log.StartRefused(new(DomainSources.Libvirt, Shorten.ForMessage(name)), refusal);
        return refusal;
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _look?.Dispose();
            _look = null;
        }
    }

    private DomainDefinition? Read(string xmlFile)
    {
        try
        {
            return DomainDefinition.Parse(BoundedFile.ReadText(xmlFile, MostBytes));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or ArgumentException)
        {
            log.HookUnreadable(Shorten.ForMessage(xmlFile), Shorten.Sentence(e.Message));
            return null;
        }
    }

    private void LookSoon()
    {
        lock (_lock) // one look is enough for all messages until then
            _look ??= time.CreateTimer(_ => Look(), null, s_untilLook, Timeout.InfiniteTimeSpan);
    }

    private void Look()
    {
        Dispose();
        wake();
    }
}
