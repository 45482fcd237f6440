// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering;

/// <summary>What moves in one piece.</summary>
/// <param name="Page">Index of its first 4 KiB page.</param>
/// <param name="Pages">1, or 512 for a 2 MiB mapping.</param>
public readonly record struct MoveUnit(int Page, int Pages);
