// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;
using VirtTier.Tiering.Budgets;

namespace VirtTier.Agent.Hook;

/// <summary>
/// Whether the host can still give a domain its <c>min</c>: what fixed budgets and minima promise already, to domains that
/// run and to those that are on their way, is held against the pool. Answers from memory. Safe for all threads.
/// </summary>
/// <param name="promises">What the pool holds and whom it is promised to, now.</param>
/// <param name="time">The clock.</param>
internal sealed class AdmissionControl(Func<PoolPromises> promises, TimeProvider time)
{
    /// <summary>A start that has neither come to be nor been given up by then (hooks of others may
    /// take long) is forgotten.</summary>
    private static readonly TimeSpan s_startLimit = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private readonly Dictionary<DomainKey, (long Bytes, long Since)> _starting = []; // under _lock

    /// <summary>Lets a domain in, and keeps its minimum for it; or says why not, with the numbers.</summary>
    /// <param name="domain">The domain that is about to start.</param>
    /// <returns>Null when it may start; else a sentence without quotation marks and line breaks: it goes
    /// through a shell's hands.</returns>
    public string? Admit(DomainDefinition domain)
    {
        PoolPromises pool = promises();
        TieringSettings settings = Settings(domain, pool.Config);
        if (settings.Mode is TieringMode.Observe or TieringMode.Off)
            return null;
        long min = (long)(settings.Min.Resolve(domain.MemoryBytes) ?? 0);
        lock (_lock)
        {
            foreach (DomainKey over in _starting.Where(
                s => pool.ByDomain.ContainsKey(s.Key) || time.GetElapsedTime(s.Value.Since) > s_startLimit).Select(
                    s => s.Key).ToArray())
                _starting.Remove(over);
            _starting.Remove(domain.Key);
            long[] promised = [.. pool.ByDomain.Where(p => p.Key != domain.Key).Select(p => p.Value),
                .. _starting.Values.Select(s => s.Bytes)];
            long left = Math.Max(0, pool.PoolBytes - promised.Sum());
            if (min > left)
            {
                return $"its min of {Sizes.Show(min)} of DRAM cannot be met: of the pool of {Sizes.Show(pool.PoolBytes)}, "
                    + $"{Sizes.Show(promised.Sum())} is promised to {promised.Count(bytes => bytes > 0)} other domains "
                    + $"and {Sizes.Show(left)} is left; "
                    + "lower min (virttier set --min), promise another domain less, or enlarge the pool (pool.dram)";
            }
            _starting[domain.Key] = (Promise(settings, domain.MemoryBytes), time.GetTimestamp());
        }
        return null;
    }

    /// <summary>The domain has ended, or never started.</summary>
    public void Forget(DomainKey domain)
    {
        lock (_lock)
            _starting.Remove(domain);
    }

    /// <summary>What a domain's settings promise it whatever the others want (<see cref="BudgetDemand.Guaranteed"/>),
    /// in bytes.</summary>
    public static long Promise(TieringSettings settings, ulong memoryBytes) =>
        settings.Mode is TieringMode.Observe or TieringMode.Off
            ? 0
            : BudgetDemands.Of(settings, memoryBytes, memoryBytes).Guaranteed * PageSizes.PageBytes;

    /// <summary>What will hold for it once it runs, but for rules that go by its cgroup, which it has not yet.</summary>
    private static TieringSettings Settings(DomainDefinition domain, AgentConfig config) => EffectiveSettings.Of(new()
    {
        Uuid = domain.Uuid,
        Name = domain.Name,
        MemoryBytes = domain.MemoryBytes,
        Labels = domain.Labels,
        Settings = domain.Problems.Count == 0 ? domain.Settings : TieringSettings.Default,
    }, config).Settings;
}

/// <param name="PoolBytes">Fast memory that all budgets may use together.</param>
/// <param name="ByDomain">What each running domain is promised of it, in bytes.</param>
/// <param name="Config">What holds for domains, whatever they say.</param>
internal sealed record PoolPromises(long PoolBytes, IReadOnlyDictionary<DomainKey, long> ByDomain, AgentConfig Config);
