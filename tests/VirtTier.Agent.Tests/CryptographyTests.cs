// SPDX-License-Identifier: Apache-2.0
using System.Reflection;

namespace VirtTier.Agent.Tests;

/// <summary>.NET's cryptography is OpenSSL: 8 MiB of an agent that is to take 40, and a library that the packages do not ask
/// for.</summary>
public sealed class CryptographyTests
{
    [Fact]
    public void Nothing_of_ours_in_the_agent_uses_it()
    {
        HashSet<string> seen = [];
        Queue<Assembly> assemblies = new([typeof(AgentDaemon).Assembly]);
        while (assemblies.TryDequeue(out Assembly? assembly))
        {
            foreach (AssemblyName reference in assembly.GetReferencedAssemblies())
            {
                Assert.False(
                    reference.Name!.StartsWith("System.Security.Cryptography", StringComparison.Ordinal),
                    $"{assembly.GetName().Name} uses {reference.Name}");
                if (reference.Name.StartsWith("VirtTier.", StringComparison.Ordinal) && seen.Add(reference.Name))
                    assemblies.Enqueue(Assembly.Load(reference));
            }
        }
        Assert.Contains("VirtTier.Tiering", seen);
        Assert.Contains("VirtTier.Libvirt", seen);
    }
}
