// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>
/// What libvirt's lifecycle events of one domain have said since the last pass began. An answer that was asked for before such an
/// event may
/// be of the time before it: then the event holds, until libvirt has been asked again.
/// </summary>
/// <param name="Ended">Whether its run has ended; null when nothing was said.</param>
/// <param name="EndedAt">The number of the event that said so: the later, the larger.</param>
/// <param name="State">What its vCPUs do; null when nothing was said.</param>
/// <param name="StateAt">The number of the event that said so.</param>
internal readonly record struct LifecycleNews(bool? Ended, long EndedAt, DomainState? State, long StateAt)
{
    /// <summary>The same with one event more.</summary>
    /// <param name="kind">Its virDomainEventType of libvirt-domain.h.</param>
    /// <param name="number">Its number.</param>
    internal LifecycleNews With(int kind, long number) => kind switch
    {
        2 => this with { Ended = false, EndedAt = number }, // started: paused or not, as it is when it is migrated in
        3 => WithState(DomainState.Paused, number),
        4 => WithState(DomainState.Running, number),
        5 => this with { Ended = true, EndedAt = number },
        6 => WithState(DomainState.ShuttingDown, number),
        7 => WithState(DomainState.Asleep, number),
        8 => WithState(DomainState.Crashed, number),
        _ => this, // defined, undefined: no matter of its run
    };

    private LifecycleNews WithState(DomainState state, long number) => this with { State = state, StateAt = number };
}
