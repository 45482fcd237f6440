// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using VirtTier.Testbed;

namespace VirtTier.Memory.Tests.Emulated;

/// <summary>Runs <see cref="RealNodesTests"/> in an emulated host of testbed/, and shows each result as one of its own.</summary>
[Trait("Ring", "emulated")]
public sealed class RealNodesInHostTests(RealNodesInHostTests.InsideRun run) : IClassFixture<RealNodesInHostTests.InsideRun>
{
    public static TheoryData<string> Tests =>
        [.. typeof(RealNodesTests).GetMethods().Where(method => method.GetCustomAttribute<FactAttribute>() is not null).Select(
            method => method.Name)];

    [Theory]
    [MemberData(nameof(Tests))]
    public void In_the_emulated_host(string test)
    {
        XElement[] results = [.. run.Results.Where(result => result.Attribute("method")?.Value == test)];
        Assert.NotEmpty(results);
        foreach (XElement result in results)
        {
            string? failure = result.Element("failure")?.Value;
            Assert.True(failure is null && result.Attribute("result")?.Value == "Pass",
                $"{result.Attribute("name")?.Value}: {failure}");
        }
    }

    /// <summary>Boots the host, runs this very program in it, and takes the host down.</summary>
    public sealed class InsideRun : IAsyncLifetime
    {
        private readonly EmulatedHost _host = EmulatedHost.Named("memory");

        /// <summary>The results of all tests that were run inside.</summary>
        public IReadOnlyList<XElement> Results { get; private set; } = [];

        public async ValueTask InitializeAsync()
        {
            // A small slow node is soon filled.
            Environment.SetEnvironmentVariable("TESTBED_NODE1", "512M");
            await _host.UpAsync();
            HostProgram program = await HostProgram.InstallAsync(_host, "memory-tests");
            await program.CompileAsync(SourceOfTarget(), "target");

            // That some tests fail is in the results; a run that gave none is an error here.
            await program.RunAsync(
                $"-class {typeof(RealNodesTests).FullName} -explicit only -parallel none -noColor -xml results.xml");
            Results = [.. XDocument.Load(Path.Combine(program.ShareFolder, "results.xml")).Descendants("test")];
        }

        public async ValueTask DisposeAsync() => await _host.DownAsync();

        private static string SourceOfTarget([CallerFilePath] string here = "") =>
            Path.Combine(Path.GetDirectoryName(here)!, "target.c");
    }
}
