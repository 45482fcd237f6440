// SPDX-License-Identifier: Apache-2.0
using Prometheus;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Metrics;

/// <summary>
/// The agent's status in Prometheus' text format. The registry is made anew for each page, so that a domain that has stopped
/// leaves no series behind.
/// </summary>
internal static class MetricsPage
{
    /// <summary>The page's media type.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>Whether the agent answered; the only metric on the page when it did not.</summary>
    public const string Up = "virttier_up";

    /// <summary>The page.</summary>
    /// <param name="status">What the agent said; null when it did not answer.</param>
    /// <param name="cancel">Ends it.</param>
    /// <returns>UTF-8.</returns>
    public static async Task<byte[]> RenderAsync(AgentStatus? status, CancellationToken cancel)
    {
        CollectorRegistry registry = Prometheus.Metrics.NewCustomRegistry();
        MetricFactory metrics = Prometheus.Metrics.WithCustomRegistry(registry);
        metrics.CreateGauge(Up, "Whether the agent answers: 1 or 0.").Set(status is null ? 0 : 1);
        if (status is not null)
        {
            foreach (MetricFamily family in MetricFamily.All)
                Add(metrics, family, status);
        }
        using MemoryStream page = new();
        await registry.CollectAndExportAsTextAsync(page, cancel);
        return page.ToArray();
    }

    private static void Add(MetricFactory metrics, MetricFamily family, AgentStatus status)
    {
        // A family without labels has a series from the start, one with labels none until there is a value.
        if (family.IsCounter)
        {
            Counter counter = metrics.CreateCounter(family.Name, family.Help, family.Labels);
            foreach ((string[] labels, double value) in family.Read(status))
                counter.WithLabels(labels).IncTo(value);
        }
        else
        {
            Gauge gauge = metrics.CreateGauge(family.Name, family.Help, family.Labels);
            foreach ((string[] labels, double value) in family.Read(status))
                gauge.WithLabels(labels).Set(value);
        }
    }
}
