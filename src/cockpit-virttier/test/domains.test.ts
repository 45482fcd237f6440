// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { budgetCommand, heatBands, reorder, select } from "../src/model/domains";
import { domain, gibibyte, uuidOf } from "./hosts";

const names = (domains: { name: string }[]) => domains.map(one => one.name);

test("names are in the order in which people count", () => {
    const domains = [domain(1, "vm10"), domain(2, "vm9"), domain(3, "VM1")];
    assert.deepEqual(names(select(domains, "", { column: "name", isDescending: false })), ["VM1", "vm9", "vm10"]);
    assert.deepEqual(names(select(domains, " vm1", { column: "name", isDescending: true })), ["vm10", "VM1"]);
});

test("those that are equal are by name, whatever the direction", () => {
    const domains = [domain(1, "b"), domain(2, "a"), domain(3, "c", { memoryBytes: gibibyte })];
    assert.deepEqual(names(select(domains, "", { column: "memory", isDescending: true })), ["a", "b", "c"]);
    assert.deepEqual(names(select(domains, "", { column: "memory", isDescending: false })), ["c", "a", "b"]);
});

test("a second click turns an order round; figures begin with the largest", () => {
    const first = reorder({ column: "name", isDescending: false }, "hot");
    assert.deepEqual(first, { column: "hot", isDescending: true });
    assert.deepEqual(reorder(first, "hot"), { column: "hot", isDescending: false });
    assert.deepEqual(reorder(first, "name"), { column: "name", isDescending: false });
});

test("bands of heat have each level once", () => {
    const levels = [undefined, 0, 0.03, 0.2, 0.7, 0.99].map((leastHeat, i) =>
        ({ ...(leastHeat === undefined ? {} : { leastHeat }), fastBytes: 10 ** i, slowBytes: 0 }));
    assert.deepEqual(heatBands(levels).map(({ label, fastBytes }) => [label, fastBytes]), [
        ["65 to 100 %", 110000], ["45 to 65 %", 0], ["25 to 45 %", 0], ["10 to 25 %", 1000], ["3 to 10 %", 100], ["0 to 3 %", 10],
        ["never", 1],
    ]);
});

test("a budget is set by UUID, for the running domain unless it is to be kept", () => {
    assert.deepEqual(budgetCommand(uuidOf(1), "8GiB", false), ["virttier", "set", uuidOf(1), "--dram", "8GiB"]);
    assert.deepEqual(budgetCommand(uuidOf(1), "auto", true).slice(-2), ["--live", "--config"]);
});
