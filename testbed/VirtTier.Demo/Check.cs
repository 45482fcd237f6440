// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Demo;

/// <summary>One thing that the demo promises, and whether it was seen.</summary>
/// <param name="Name">What is promised.</param>
/// <param name="Passed">Whether it was seen.</param>
/// <param name="Detail">What was seen.</param>
internal sealed record Check(string Name, bool Passed, string Detail);
