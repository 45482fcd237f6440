// SPDX-License-Identifier: Apache-2.0
import type { CurvePoint } from "../agent/answers";

const mebibyte = 1024 ** 2;

/** The share (0..1) of accesses that goes slow with so much DRAM: a straight line between corners. */
export function slowShare(points: readonly CurvePoint[], dramBytes: number): number {
    for (let i = 1; i < points.length; i++) {
        const left = points[i - 1]!;
        const right = points[i]!;
        if (dramBytes <= right.dramBytes) {
            const part = (dramBytes - left.dramBytes) / (right.dramBytes - left.dramBytes);
            return left.slowShare + (right.slowShare - left.slowShare) * part;
        }
    }
    return points.at(-1)?.slowShare ?? 0;
}

/** Steps in which a budget is set by hand: some hundred for the whole memory, whole powers of two of a MiB. */
export function budgetStep(memoryBytes: number): number {
    return Math.max(mebibyte, 2 ** Math.floor(Math.log2(Math.max(1, memoryBytes / 256))));
}

/** The step nearest to a budget, at least one, at most the memory. */
export function snapBudget(bytes: number, memoryBytes: number): number {
    const step = budgetStep(memoryBytes);
    const most = Math.max(step, Math.floor(memoryBytes / step) * step);
    return Math.min(most, Math.max(step, Math.round(bytes / step) * step));
}

/** A curve of at most so many points, for a table: the ends, and steps of equal width between. */
export function curveRows(points: readonly CurvePoint[], count: number): CurvePoint[] {
    const end = points.at(-1)?.dramBytes ?? 0;
    if (end === 0)
        return [...points];
    return Array.from({ length: count }, (_, i) => {
        const dramBytes = Math.round(end * i / (count - 1));
        return { dramBytes, slowShare: slowShare(points, dramBytes) };
    });
}
