// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { address, exactSize, percent, size } from "../src/model/units";
import { gibibyte, mebibyte } from "./hosts";

test("sizes are shown as the tool shows them", () => {
    assert.equal(size(0), "0 B");
    assert.equal(size(1023), "1023 B");
    assert.equal(size(1.5 * gibibyte), "1.5 GiB");
    assert.equal(size(1002.9 * mebibyte), "1002.9 MiB");
    assert.equal(size(-2 * mebibyte), "-2 MiB");
});

test("sizes for settings lose nothing", () => {
    assert.equal(exactSize(8 * gibibyte), "8GiB");
    assert.equal(exactSize(6 * gibibyte + 64 * mebibyte), "6208MiB");
    assert.equal(exactSize(4096), "4KiB");
    assert.equal(exactSize(4097), "5KiB");
});

test("a small share is not none", () => {
    assert.equal(percent(0), "0 %");
    assert.equal(percent(0.0001), "< 0.1 %");
    assert.equal(percent(0.093), "9.3 %");
    assert.equal(percent(1), "100 %");
});

test("addresses are in groups of four digits", () => {
    assert.equal(address(0), "0x0");
    assert.equal(address(0x1_0020_0000), "0x1\u202f0020\u202f0000");
});
