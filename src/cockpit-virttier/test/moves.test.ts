// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { lastMoves } from "../src/model/moves";

function ring(columnSeconds: number) {
    const zeros = Array.from({ length: 157 }, () => 0);
    return { first: "2026-03-01T12:00:00+00:00", columnSeconds, upBytes: [...zeros, 1, 0, 3], downBytes: [...zeros, 0, 20, 30] };
}

const rings = [ring(5), ring(60), ring(600)];
const noon = Date.UTC(2026, 2, 1, 12) / 1000;

test("columns end where the next begins, and the last is the newest", () => {
    const { columnSeconds, columns } = lastMoves(rings, 600)!;
    assert.equal(columnSeconds, 5);
    assert.equal(columns.length, 120);
    assert.deepEqual(columns.slice(-3), [
        { time: noon + 158 * 5, upBytes: 1, downBytes: 0 },
        { time: noon + 159 * 5, upBytes: 0, downBytes: 20 },
        { time: noon + 160 * 5, upBytes: 3, downBytes: 30 },
    ]);
});

test("the narrowest columns that reach back are shown, and the widest where none do", () => {
    const cases = [[1, 5, 1], [800, 5, 160], [801, 60, 14], [9600, 60, 160], [96000, 600, 160], [1e9, 600, 160]] as const;
    for (const [seconds, width, count] of cases) {
        const { columnSeconds, columns } = lastMoves(rings, seconds)!;
        assert.deepEqual([columnSeconds, columns.length], [width, count]);
    }
});

test("a VM that was never attached has none", () => {
    assert.equal(lastMoves([], 600), undefined);
});
