// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.TestSupport;

/// <summary>Does something when it is disposed.</summary>
internal sealed class OnDispose(Action action) : IDisposable
{
    public void Dispose() => action();
}
