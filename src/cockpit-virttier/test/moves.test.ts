// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { MoveLog } from "../src/model/moves";
import { domain, host, uuidOf } from "./hosts";

function statusOf(up: number, down: number) {
    return host([domain(1, "web1", { promotedPages: up, demotedPages: down })]).status;
}

test("what was moved before the first look is of no known time", () => {
    const log = new MoveLog();
    log.add(statusOf(100, 200), 1000);
    log.add(statusOf(101, 202), 1002);
    log.add(statusOf(104, 202), 1011);
    assert.deepEqual(log.of(uuidOf(1)), [
        { time: 1010, upBytes: 4096, downBytes: 8192 },
        { time: 1020, upBytes: 3 * 4096, downBytes: 0 },
    ]);
});

test("sums that begin anew are not moves back", () => {
    const log = new MoveLog();
    log.add(statusOf(100, 200), 1000);
    log.add(statusOf(2, 1), 1001);
    assert.deepEqual(log.of(uuidOf(1)), [{ time: 1010, upBytes: 2 * 4096, downBytes: 4096 }]);
});

test("only so much is kept, and nothing of a VM that ended", () => {
    const log = new MoveLog(10, 3);
    for (let i = 0; i < 10; i++)
        log.add(statusOf(i, 0), i * 10);
    assert.deepEqual(log.of(uuidOf(1)).map(moved => moved.time), [80, 90, 100]);
    log.add(host([]).status, 200);
    assert.deepEqual(log.of(uuidOf(1)), []);
});
