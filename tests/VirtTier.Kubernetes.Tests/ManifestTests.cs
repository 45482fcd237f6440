// SPDX-License-Identifier: Apache-2.0
extern alias typed;

using System.Runtime.CompilerServices;
using k8s;
using typed::k8s.Models;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;
using StrictYaml = typed::k8s.KubernetesYaml;

namespace VirtTier.Kubernetes.Tests;

/// <summary>packaging/kubernetes: nothing that an API server would refuse, parts that agree, and no right too many.</summary>
public sealed class ManifestTests
{
    private static readonly string s_folder =
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(ThisFile())!, "../../packaging/kubernetes"));

    private static V1DaemonSet DaemonSet => Parse<V1DaemonSet>(Read("base/daemonset.yaml"));

    private static IList<V1Container> Containers => DaemonSet.Spec.Template.Spec.Containers;

    [Fact]
    public void All_of_it_has_only_fields_that_there_are()
    {
        Dictionary<string, Func<string, object>> types = new()
        {
            ["v1/Namespace"] = Parse<V1Namespace>,
            ["v1/ServiceAccount"] = Parse<V1ServiceAccount>,
            ["rbac.authorization.k8s.io/v1/ClusterRole"] = Parse<V1ClusterRole>,
            ["rbac.authorization.k8s.io/v1/ClusterRoleBinding"] = Parse<V1ClusterRoleBinding>,
            ["apps/v1/DaemonSet"] = Parse<V1DaemonSet>,
            ["monitoring.coreos.com/v1/PodMonitor"] = ParseCustom<PodMonitor>,
            ["kmm.sigs.x-k8s.io/v1beta1/Module"] = ParseCustom<KernelModule>,
        };
        string[] seen = [.. Directory.EnumerateFiles(s_folder, "*.yaml", SearchOption.AllDirectories)
            .Where(file => Path.GetFileName(file) is not ("kustomization.yaml" or "virttier.yaml"))
            .SelectMany(file => File.ReadAllText(file).Split("\n---\n")).Select(document =>
            {
                KindOf kind = new DeserializerBuilder().WithNamingConvention(CamelCaseNamingConvention.Instance)
                    .IgnoreUnmatchedProperties().Build().Deserialize<KindOf>(document);
                types[$"{kind.ApiVersion}/{kind.Kind}"](document);
                return $"{kind.ApiVersion}/{kind.Kind}";
            })];
        Assert.Equal(types.Keys.Order(), seen.Order());
    }

    [Theory]
    [InlineData("hostPID: true", "hostPid: true")]
    [InlineData("mountPropagation:", "mountPropagate:")]
    [InlineData("fieldPath:", "path:")]
    public void A_mistyped_field_is_found(string right, string wrong)
    {
        string text = Read("base/daemonset.yaml");
        Assert.Contains(right, text, StringComparison.Ordinal);
        Assert.ThrowsAny<Exception>(() => Parse<V1DaemonSet>(text.Replace(right, wrong, StringComparison.Ordinal)));
        Assert.ThrowsAny<Exception>(() => ParseCustom<KernelModule>(
            Read("kernel-module/module.yaml").Replace("moduleName", "name", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task The_role_has_the_rights_that_are_used_and_no_other()
    {
        string directory = Directory.CreateTempSubdirectory("vt-rbac-").FullName;
        await using StubApiServer server = await StubApiServer.StartAsync();
        using k8s.Kubernetes client = new(new KubernetesClientConfiguration
        {
            Host = server.Address.ToString(),
            AccessToken = StubApiServer.Token,
        });
        using CancellationTokenSource stop = new();
        VmiWatcher watcher = new(
            new(client, "node1"), Path.Combine(directory, "settings.json"), TimeProvider.System, () => 0, new FakeLog());
        Task running = watcher.RunAsync(stop.Token);
        server.Put("prod", "web1", "node1", ("virttier.org/dram", "25%"));
        await Eventually.IsTrue(() => server.OpenWatches == 1);
        server.Disconnect();
        server.Compact();
        await Eventually.IsTrue(() => server.Requests.Count >= 5); // list, watch, a watch that is too old, and both again
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Directory.Delete(directory, recursive: true);

        V1ClusterRole role = Parse<V1ClusterRole>(Read("base/rbac.yaml").Split("\n---\n").Single(
            document => document.Contains("kind: ClusterRole\nmetadata", StringComparison.Ordinal)));
        Assert.Equal(
            server.Requests.Select(request => (request.ApiGroup, request.Resource, request.Verb)).Distinct().Order(),
            role.Rules.SelectMany(rule => from apiGroup in rule.ApiGroups
                                          from resource in rule.Resources
                                          from verb in rule.Verbs
                                          select (apiGroup, resource, verb)).Order());
    }

    [Fact]
    public void Who_has_rights_on_the_node_has_neither_network_nor_token_and_who_has_these_has_no_rights()
    {
        V1PodSpec pod = DaemonSet.Spec.Template.Spec;
        Assert.Equal((true, null, false), (pod.HostPID, pod.HostNetwork, pod.AutomountServiceAccountToken));
        foreach (V1Container container in Containers)
        {
            V1SecurityContext context = container.SecurityContext;
            bool hasToken = container.VolumeMounts.Any(mount => mount.Name == "token");
            Assert.Equal(container.Name == "annotations", hasToken);
            Assert.True(context.ReadOnlyRootFilesystem);
            if (container.Name == "agent")
            {
                Assert.True(context.Privileged);
                Assert.Equal(["unshare", "--net", "--", "virttier", "agent"], container.Command);
                continue;
            }
            Assert.Null(context.Privileged);
            Assert.Equal((true, false), (context.RunAsNonRoot, context.AllowPrivilegeEscalation));
            Assert.True(context.RunAsUser > 0);
            Assert.Equal(["ALL"], context.Capabilities.Drop);
            Assert.Equal("RuntimeDefault", context.SeccompProfile.Type);
            Assert.DoesNotContain(container.VolumeMounts,
                mount => pod.Volumes.Single(volume => volume.Name == mount.Name).HostPath is not null);
        }
        Assert.Equal(Containers.Count - 1,
            Containers.Select(container => container.SecurityContext.RunAsUser).OfType<long>().Distinct().Count());
    }

    [Fact]
    public void Parts_that_speak_of_each_other_agree()
    {
        V1DaemonSet set = DaemonSet;
        IDictionary<string, string> labels = set.Spec.Template.Metadata.Labels;
        Assert.Equal(labels, set.Spec.Selector.MatchLabels);
        PodMonitor monitor = ParseCustom<PodMonitor>(Read("pod-monitor/pod-monitor.yaml"));
        Assert.Equal(labels, monitor.Spec.Selector.MatchLabels);
        Assert.Equal(Containers.SelectMany(container => container.Ports ?? []).Single().Name,
            monitor.Spec.PodMetricsEndpoints.Single().Port);
        Assert.All(Containers, container => Assert.All(container.VolumeMounts,
            mount => Assert.Contains(set.Spec.Template.Spec.Volumes, volume => volume.Name == mount.Name)));
        Assert.Equal("NODE_NAME", Containers.Single(container => container.Name == "annotations").Env.Single().Name);
        // The bus knows users by name only, so the image has to have them.
        foreach ((string container, string user) in (ReadOnlySpan<(string, string)>)[
            ("bus", "virttier-bus"), ("annotations", "virttier-kubernetes"), ("exporter", "virttier-exporter")])
            Assert.Contains($"user {user} {Containers.Single(c => c.Name == container).SecurityContext.RunAsUser};",
                Read("../oci-image"), StringComparison.Ordinal);
        Assert.Contains("<policy user=\"virttier-exporter\">", Read("base/bus.conf"), StringComparison.Ordinal);

        // Where each looks by itself.
        string[] mounts =
            [.. Containers.Single(container => container.Name == "agent").VolumeMounts.Select(mount => mount.MountPath)];
        Libvirt.Domains.SourceOptions options = new();
        Assert.Contains(Path.GetDirectoryName(options.VmiSettings), mounts);
        Assert.Contains(options.PodLogs, mounts);
        KernelModule module = ParseCustom<KernelModule>(Read("kernel-module/module.yaml"));
        Assert.Equal(module.Spec.Selector.Single(), set.Spec.Template.Spec.NodeSelector.Single(
            selector => selector.Key.StartsWith("kubevirt.io", StringComparison.Ordinal)));
    }

    [Fact]
    public void Every_file_is_part_of_a_kustomization_that_is_part_of_the_example()
    {
        HashSet<string> seen = [];
        Follow(Path.Combine(s_folder, "example"));
        Assert.Equal(Directory.EnumerateFiles(s_folder, "*", SearchOption.AllDirectories).Order(), seen.Order());

        void Follow(string path)
        {
            string file = Directory.Exists(path) ? Path.Combine(path, "kustomization.yaml") : path;
            Assert.True(File.Exists(file), file);
            seen.Add(file);
            if (!Directory.Exists(path))
                return;
            Kustomization made = ParseCustom<Kustomization>(File.ReadAllText(file));
            foreach (string part in (IEnumerable<string>)[.. made.Resources, .. made.Components,
                .. made.ConfigMapGenerator.SelectMany(map => map.Files)])
                Follow(Path.GetFullPath(Path.Combine(path, part)));
            Assert.All(made.ConfigMapGenerator, map => Assert.Contains(
                DaemonSet.Spec.Template.Spec.Volumes, volume => volume.ConfigMap?.Name == map.Name));
            Assert.All(made.Images, image => Assert.All(Containers, container => Assert.Equal(image.Name, container.Image)));
        }
    }

    private static T Parse<T>(string text) => StrictYaml.Deserialize<T>(text, strict: true);

    private static T ParseCustom<T>(string text) =>
        new DeserializerBuilder().WithNamingConvention(CamelCaseNamingConvention.Instance).Build().Deserialize<T>(text);

    private static string Read(string file) => File.ReadAllText(Path.Combine(s_folder, file));

    private static string ThisFile([CallerFilePath] string file = "") => file;

    private sealed class KindOf
    {
        public string ApiVersion { get; set; } = "";

        public string Kind { get; set; } = "";
    }

    /// <summary>What there is in metadata of the two kinds below.</summary>
    private sealed class CustomMetadata
    {
        public string Name { get; set; } = "";

        public string Namespace { get; set; } = "";
    }

    private sealed class LabelSelector
    {
        public Dictionary<string, string> MatchLabels { get; set; } = [];
    }

    /// <summary>Of kustomize's file what is used of it.</summary>
    private sealed class Kustomization
    {
        public string ApiVersion { get; set; } = "";

        public string Kind { get; set; } = "";

        public string Namespace { get; set; } = "";

        public List<string> Resources { get; set; } = [];

        public List<string> Components { get; set; } = [];

        public List<GeneratedMap> ConfigMapGenerator { get; set; } = [];

        public List<RenamedImage> Images { get; set; } = [];

        public List<object> Patches { get; set; } = [];
    }

    private sealed class GeneratedMap
    {
        public string Name { get; set; } = "";

        public List<string> Files { get; set; } = [];
    }

    private sealed class RenamedImage
    {
        public string Name { get; set; } = "";

        public string NewName { get; set; } = "";

        public string NewTag { get; set; } = "";
    }

    /// <summary>Of the Prometheus operator's PodMonitor what is used of it.</summary>
    private sealed class PodMonitor
    {
        public string ApiVersion { get; set; } = "";

        public string Kind { get; set; } = "";

        public CustomMetadata Metadata { get; set; } = new();

        public PodMonitorSpec Spec { get; set; } = new();
    }

    private sealed class PodMonitorSpec
    {
        public LabelSelector Selector { get; set; } = new();

        public List<PodMetricsEndpoint> PodMetricsEndpoints { get; set; } = [];
    }

    private sealed class PodMetricsEndpoint
    {
        public string Port { get; set; } = "";

        public List<Relabeling> Relabelings { get; set; } = [];
    }

    private sealed class Relabeling
    {
        public List<string> SourceLabels { get; set; } = [];

        public string TargetLabel { get; set; } = "";
    }

    /// <summary>Of KMM's Module what is used of it.</summary>
    private sealed class KernelModule
    {
        public string ApiVersion { get; set; } = "";

        public string Kind { get; set; } = "";

        public CustomMetadata Metadata { get; set; } = new();

        public KernelModuleSpec Spec { get; set; } = new();
    }

    private sealed class KernelModuleSpec
    {
        public ModuleLoader ModuleLoader { get; set; } = new();

        public Dictionary<string, string> Selector { get; set; } = [];
    }

    private sealed class ModuleLoader
    {
        public ModuleContainer Container { get; set; } = new();
    }

    private sealed class ModuleContainer
    {
        public Modprobe Modprobe { get; set; } = new();

        public List<KernelMapping> KernelMappings { get; set; } = [];
    }

    private sealed class Modprobe
    {
        public string ModuleName { get; set; } = "";
    }

    private sealed class KernelMapping
    {
        public string Regexp { get; set; } = "";

        public string ContainerImage { get; set; } = "";
    }
}
