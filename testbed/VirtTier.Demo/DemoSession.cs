// SPDX-License-Identifier: Apache-2.0
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>
/// A demo on a fresh emulated host. The emulator itself fails now and then: it loses a guest, or dies with the host
/// (testbed/README.md). Then, and only then, it is done again on another fresh host, and said so.
/// </summary>
/// <param name="kind">What is shown.</param>
/// <param name="host">The host.</param>
/// <param name="view">Where it is shown.</param>
internal sealed class DemoSession(DemoKind kind, DemoHost host, IDemoView view)
{
    private const int MostAttempts = 3;

    /// <summary>Whether the emulator failed in the last attempt, so that what is not shown may be no
    /// fault of VirtTier's.</summary>
    public bool EmulatorFailed { get; private set; }

    /// <summary>Boots the host, installs VirtTier and runs the scenario; the host stays up.</summary>
    /// <returns>Every check of the last attempt.</returns>
    /// <exception cref="TestbedException">The host did not come up, or VirtTier could not be installed.</exception>
    public async Task<IReadOnlyList<Check>> RunAsync(CancellationToken cancel)
    {
        for (int attempt = 1; ; attempt++)
        {
            await host.Host.DownAsync(cancel);
            view.Step($"booting an emulated host: AMD, {host.Host.Machine}, systemd, libvirt");
            await host.UpAsync(view.Step, cancel);
            IReadOnlyList<Check> checks = [];
            TestbedException? brokenOff = null;
            try
            {
                view.Step("building and installing the packages of the kernel module and of the agent");
                await host.InstallAsync(cancel);
                checks = await kind.Scenario(host, view).RunAsync(cancel);
            }
            catch (TestbedException e)
            {
                brokenOff = e;
            }
            if (brokenOff is null && checks.All(c => c.Passed))
                return checks;
            string? failure = await host.EmulatorFailureAsync(cancel);
            EmulatorFailed = failure is not null;
            if (failure is not null && attempt < MostAttempts)
            {
                view.Trouble($"THE EMULATOR FAILED: {failure}. All of it once more, on a fresh host");
                continue;
            }
            if (brokenOff is not null)
                throw brokenOff;
            return checks;
        }
    }
}
