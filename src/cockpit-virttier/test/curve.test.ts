// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { budgetStep, curveRows, slowShare, snapBudget } from "../src/model/curve";
import { gibibyte, mebibyte } from "./hosts";

const points = [{ dramBytes: 0, slowShare: 1 }, { dramBytes: 100, slowShare: 0.25 }, { dramBytes: 200, slowShare: 0 }];

test("between two corners the curve is a straight line", () => {
    assert.equal(slowShare(points, 0), 1);
    assert.equal(slowShare(points, 50), 0.625);
    assert.equal(slowShare(points, 100), 0.25);
    assert.equal(slowShare(points, 150), 0.125);
    assert.equal(slowShare(points, 1000), 0);
    assert.equal(slowShare([], 1), 0);
});

test("budgets go by steps that people would say", () => {
    assert.equal(budgetStep(16 * gibibyte), 64 * mebibyte);
    assert.equal(budgetStep(20 * gibibyte), 64 * mebibyte);
    assert.equal(budgetStep(16 * mebibyte), mebibyte);
    assert.equal(snapBudget(0, 16 * gibibyte), 64 * mebibyte);
    assert.equal(snapBudget(100 * gibibyte, 16 * gibibyte), 16 * gibibyte);
    assert.equal(snapBudget(6.01 * gibibyte, 16 * gibibyte), 6 * gibibyte);
});

test("a curve's table has its ends", () => {
    assert.deepEqual(curveRows(points, 3),
        [{ dramBytes: 0, slowShare: 1 }, { dramBytes: 100, slowShare: 0.25 }, { dramBytes: 200, slowShare: 0 }]);
});
