// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.CommandLine.Invocation;
using k8s;
using Microsoft.Extensions.Logging;
using VirtTier.Kubernetes;
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;

const int BadInput = 2;

Option<string> nodeOption = new("--node")
{
    HelpName = "NAME",
    Description = "The name that this node has in Kubernetes (default: that in NODE_NAME)",
    DefaultValueFactory = _ => Environment.GetEnvironmentVariable("NODE_NAME") ?? "",
};
Option<FileInfo> kubeconfigOption = new("--kubeconfig")
{
    HelpName = "FILE",
    Description = "How to reach the API server (default: as a pod is told)",
};
Option<string> fileOption = new("--file")
{
    HelpName = "FILE",
    Description = "Where the agent reads what is found",
    DefaultValueFactory = _ => VmiSettingsFile.DefaultPath,
};
RootCommand command = new(
    "Tells VirtTier's agent on this node the settings in the annotations of KubeVirt's VMs: virttier.org/dram and others.")
{
    nodeOption, kubeconfigOption, fileOption,
};
command.SetAction(async (result, cancel) =>
{
    string node = result.GetRequiredValue(nodeOption);
    if (!NodeName.IsOne(node))
    {
        return Refuse($"'{Shorten.ForMessage(node)}' is no name of a node; give that of kubectl get nodes by --node NAME or "
            + "NODE_NAME=NAME");
    }
    KubernetesClientConfiguration configuration;
    try
    {
        configuration = result.GetValue(kubeconfigOption) is { } kubeconfig
            ? await KubernetesClientConfiguration.BuildConfigFromConfigFileAsync(kubeconfig)
            : KubernetesClientConfiguration.InClusterConfig();
    }
#pragma warning disable CA1031 // whatever is wrong with a file that somebody else wrote
    catch (Exception e)
#pragma warning restore CA1031
    {
        return Refuse($"the API server is not known: {Shorten.Sentence(e.Message)}; run this in a pod, "
            + "or give --kubeconfig FILE");
    }
    using ILoggerFactory logs = LoggerFactory.Create(builder => builder.AddSystemdConsole());
    using k8s.Kubernetes client = new(configuration);
    VmiWatcher watcher = new(new VmiApi(client, node), Path.GetFullPath(result.GetRequiredValue(fileOption)), TimeProvider.System,
        Random.Shared.NextDouble, logs.CreateLogger("virttier-kubernetes"));
    try
    {
        await watcher.RunAsync(cancel);
    }
    catch (OperationCanceledException) when (cancel.IsCancellationRequested)
    {
        // Told to stop.
    }
    return 0;
});
ParseResult parsed = command.Parse(args);
int status = await parsed.InvokeAsync();
return parsed.Action is ParseErrorAction ? BadInput : status;

static int Refuse(string message)
{
    Console.Error.WriteLine($"virttier-kubernetes: {message}");
    return BadInput;
}
