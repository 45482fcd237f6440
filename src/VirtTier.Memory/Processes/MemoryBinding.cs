// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Processes;

/// <summary>Memory of a process that its owner has bound to nodes: the kernel puts no page of it elsewhere,
/// and neither may we.</summary>
/// <param name="Start">Its first address.</param>
/// <param name="End">One past its last address. What follows may be without memory.</param>
/// <param name="Nodes">The nodes.</param>
public sealed record MemoryBinding(ulong Start, ulong End, IReadOnlyList<int> Nodes);
