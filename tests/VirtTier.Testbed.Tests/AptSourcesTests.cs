// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace VirtTier.Testbed.Tests;

/// <summary>testbed/lib/apt-sources.awk: which of a machine's apt sources the image is made from.</summary>
public sealed class AptSourcesTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory();

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void One_line_entries_of_the_suite_are_taken_with_their_options()
    {
        Assert.Equal(
            [
                "deb http://mirror.example/debian bookworm main",
                "deb [signed-by=/usr/share/keyrings/k.gpg arch=amd64] http://mirror.example/security bookworm-security main",
            ],
            Read("a.list", """
                # deb http://off.example/debian bookworm main
                deb http://mirror.example/debian bookworm main contrib
                deb-src http://mirror.example/debian bookworm main
                deb [signed-by=/usr/share/keyrings/k.gpg arch=amd64] http://mirror.example/security bookworm-security main
                deb http://tools.example/apt bookworm stable
                deb http://mirror.example/debian trixie main
                """));
    }

    [Fact]
    public void Stanzas_of_the_suite_are_taken_one_entry_for_each_suite()
    {
        Assert.Equal(
            [
                "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main",
                "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm-updates main",
                "deb http://mirror.example/security bookworm-security main",
            ],
            Read("a.sources", """
                Types: deb deb-src
                # a remark
                URIs: http://mirror.example/debian
                Suites: bookworm bookworm-updates bookworm-backports
                Components: main contrib
                Signed-By: /k.gpg

                Enabled: no
                Types: deb
                URIs: http://off.example/debian
                Suites: bookworm
                Components: main

                Types: deb
                URIs: http://tools.example/apt
                Suites: nodistro
                Components: main

                Types: deb
                URIs: http://mirror.example/security
                Suites: bookworm-security
                Components: main
                """));
    }

    private string[] Read(string name, string content)
    {
        string file = Path.Combine(_folder.FullName, name);
        File.WriteAllText(file, content);
        string program = Path.Combine(Path.GetDirectoryName(EmulatedHost.Named("unused").Script)!, "lib", "apt-sources.awk");
        var start = new ProcessStartInfo("awk", ["-v", "suite=bookworm", "-f", program, file]) { RedirectStandardOutput = true };
        using Process awk = Process.Start(start)!;
        string output = awk.StandardOutput.ReadToEnd();
        awk.WaitForExit();
        Assert.Equal(0, awk.ExitCode);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
