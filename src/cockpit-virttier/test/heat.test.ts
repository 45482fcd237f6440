// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
    cellAt, colourOf, heatTable, holes, paint, pan, readHeat, reveal, shareAt, timeOf, wholeView, zoom,
} from "../src/model/heat";
import { gibibyte, heatOf } from "./hosts";

// Three columns of two rows.
const small = readHeat({
    first: "2026-03-01T12:00:00+00:00", columnSeconds: 5, rowBytes: 2 << 20, addresses: [0, 0x1_0000_0000],
    cells: Buffer.from([0, 1, 128, 255, 0, 0]).toString("base64"),
});
const large = readHeat(heatOf(16 * gibibyte));

test("cells are read column after column", () => {
    assert.equal(small.columns, 3);
    assert.equal(shareAt(small, { column: 0, row: 0 }), undefined);
    assert.equal(shareAt(small, { column: 0, row: 1 }), 0);
    assert.equal(shareAt(small, { column: 1, row: 0 }), 0.5);
    assert.equal(shareAt(small, { column: 1, row: 1 }), 1);
    assert.equal(timeOf(small, 2).toISOString(), "2026-03-01T12:00:10.000Z");
    assert.deepEqual(holes(small), [1]);
});

test("cells that are no whole columns are refused", () => {
    assert.throws(() => readHeat({ ...heatOf(gibibyte), addresses: Array(7).fill(0) }), /no whole columns of 7 rows/);
});

test("the whole view has every cell, and a point beyond it the last", () => {
    const whole = wholeView(small);
    assert.deepEqual(cellAt(small, whole, 0.5, 0.75), { column: 1, row: 1 });
    assert.deepEqual(cellAt(small, whole, 1, 1), { column: 2, row: 1 });
    assert.deepEqual(cellAt(small, whole, -1, -1), { column: 0, row: 0 });
});

test("what is under the pointer stays there when zoomed", () => {
    const view = zoom(large, wholeView(large), 3, 0.7, 0.2);
    assert.deepEqual(cellAt(large, view, 0.7, 0.2), cellAt(large, wholeView(large), 0.7, 0.2));
    assert.equal(view.width, 40);
    assert.deepEqual(zoom(large, view, 1 / 10, 0.5, 0.5), wholeView(large));
    assert.equal(zoom(large, view, 1000, 0, 0).width, 4);
});

test("no view leaves the picture", () => {
    const view = zoom(large, wholeView(large), 2, 0.5, 0.5);
    assert.equal(pan(large, view, -1000, 0).left, 0);
    assert.equal(pan(large, view, 1000, 1000).left, 60);
    assert.equal(pan(large, view, 0, 1000).top, 64);
    assert.equal(reveal(large, view, { column: 119, row: 0 }).left, 60);
    assert.equal(reveal(large, view, { column: 119, row: 0 }).top, 0);
    assert.deepEqual(reveal(large, view, { column: 60, row: 60 }), view);
});

test("a table has means, and says where nobody looked", () => {
    assert.deepEqual(heatTable(small, 1, 3).rows, [{ address: 0, shares: [0, 0.75, undefined] }]);
    const table = heatTable(large, 16, 8);
    assert.equal(table.rows.length, 16);
    assert.equal(table.times.length, 8);
});

test("dots are row after row, clear where nobody looked, and hotter is further from the ground", () => {
    const dots = paint(small, false);
    assert.deepEqual([...dots.slice(0, 4)], [0, 0, 0, 0]);
    assert.deepEqual([...dots.slice(4, 8)], [...colourOf(127 / 254, false), 255]);
    assert.deepEqual([...dots.slice(16, 20)], [...colourOf(1, false), 255]);
    const brightness = (share: number, isDark: boolean) => colourOf(share, isDark).reduce((sum, part) => sum + part, 0);
    for (let share = 0.05; share <= 1; share += 0.05) {
        assert.ok(brightness(share, true) > brightness(share - 0.05, true), `dark, ${share}`);
        assert.ok(brightness(share, false) < brightness(share - 0.05, false), `light, ${share}`);
    }
});
