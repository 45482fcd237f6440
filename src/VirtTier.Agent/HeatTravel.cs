// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent;

/// <summary>
/// One domain's heat on its way: takes up what came with the guest, and has libvirt carry along what is known of it now. libvirt
/// reads a domain's metadata when a migration or a save begins, says so to nobody before, and lets nobody write them until it has
/// ended; so the heat is put there now and then while the guest runs.
/// </summary>
internal sealed class HeatTravel(DomainLoopContext context)
{
    // As many rounds as heat remembers.
    private const int LeastRounds = 8;

    // Working out what to write takes at most so small a part of the time.
    private const int Rarity = 200;

    private static readonly TimeSpan s_retry = TimeSpan.FromMinutes(1);

    private byte[]? _arrived;
    private bool _toRemove;
    private bool _isThere; // written by us, and not taken away since
    private bool _isGone; // taken away by us, and not written since
    private string? _last;
    private string? _problem;
    private long? _since; // of when _wait counts; null: it is time
    private TimeSpan _wait;
    private Task _writing = Task.CompletedTask;

    /// <summary>Whether there is heat that came along and waits for the guest to run.</summary>
    public bool HasArrived => _arrived is not null;

    /// <summary>Takes what came along, for a guest of which nothing else is known. What cannot be used is said once.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="guest">Its guest, of which <see cref="AttachedGuest.HeatRounds"/> are 0 if nothing is known.</param>
    public void Arrive(RunningDomain domain, AttachedGuest guest)
    {
        if (domain.CarriedHeat?.Take() is { } text)
        {
            _toRemove = true;
            if (guest.HeatRounds > 0)
                return;
            _arrived = Decode(text, out string? refusal);
            if (refusal is not null)
                context.Log.HeatNotTaken(domain.Key, refusal);
        }
        // For what is moved before the guest runs; its memory may be laid out a little otherwise then.
        if (_arrived is not null)
            _ = guest.SeedHeat(_arrived);
    }

    /// <summary>Has the guest begin with what came along, now that it runs.</summary>
    public void Begin(RunningDomain domain, AttachedGuest guest)
    {
        if (_arrived is not { } summary)
            return;
        _arrived = null;
        if (guest.SeedHeat(summary) is { } refusal)
            context.Log.HeatNotTaken(domain.Key, refusal);
        else
            context.Log.HeatTaken(domain.Key);
    }

    /// <summary>After a round: writes what is known by now if it is time, or takes away what has been taken up or is not to
    /// be there. Nobody waits for it.</summary>
    public void EndRound(DomainOrders orders, AttachedGuest guest)
    {
        if (context.Carrier is null || orders.CarriesHeat is not { } carries || orders.Domain.Source != DomainSources.Libvirt
            || !_writing.IsCompleted || (_since is { } since && context.Time.GetElapsedTime(since) < _wait))
            return;
        if (_toRemove || (!carries && !_isGone && (_isThere || orders.Domain.HasHeat)))
            _writing = WriteAsync(orders.Domain, null, context.CarryInterval);
        else if (carries && guest.HeatRounds >= LeastRounds && !guest.RunsUnseenGuests)
        {
            long start = context.Time.GetTimestamp();
            string? text = guest.SummarizeHeat() is { } summary ? Convert.ToBase64String(summary) : null;
            TimeSpan took = context.Time.GetElapsedTime(start) * Rarity;
            TimeSpan wait = took > context.CarryInterval ? took : context.CarryInterval;
            if (text is not null && text != _last)
                _writing = WriteAsync(orders.Domain, text, wait);
            else
                (_since, _wait) = (context.Time.GetTimestamp(), wait);
        }
    }

    private async Task WriteAsync(RunningDomain domain, string? text, TimeSpan wait)
    {
        string? problem;
        try
        {
            problem = await context.Carrier!.WriteAsync(domain, text);
        }
#pragma warning disable CA1031 // nobody waits for it, and it is tried again
        catch (Exception e)
#pragma warning restore CA1031
        {
            problem = e.Message;
        }
        if (problem is not null && problem != _problem)
            context.Log.HeatNotCarried(domain.Key, problem);
        _problem = problem;
        if (problem is null)
        {
            (_last, _isThere, _isGone) = (text, text is not null, text is null);
            _toRemove = false;
        }
        (_since, _wait) = (context.Time.GetTimestamp(), problem is null || wait < s_retry ? wait : s_retry);
    }

    private static byte[]? Decode(string text, out string? refusal)
    {
        refusal = null;
        byte[] bytes = text.Length <= HeatMetadata.MostCharacters ? new byte[text.Length] : [];
        if (bytes.Length == 0)
            refusal = $"it has {text.Length} characters, no agent writes more than {HeatMetadata.MostCharacters}";
        else if (!Convert.TryFromBase64String(text, bytes, out int length))
            refusal = "it is no base64";
        else
            return bytes[..length];
        return null;
    }
}
