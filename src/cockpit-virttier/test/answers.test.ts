// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { explain } from "../src/agent/cockpit-source";

test("failed calls are told apart", () => {
    assert.equal(explain({ problem: "not-found" }).kind, "down");
    assert.equal(explain({ name: "org.freedesktop.DBus.Error.ServiceUnknown", message: "x" }).kind, "down");
    assert.equal(explain({ name: "org.freedesktop.DBus.Error.AccessDenied", message: "x" }).kind, "denied");
    assert.equal(explain({ problem: "access-denied" }).kind, "denied");
    assert.equal(explain({ name: "org.virttier.Agent1.Error.NoSuchDomain", message: "no such domain" }).kind, "gone");
    const other = explain({ name: "org.freedesktop.DBus.Error.NoReply", message: "too late" });
    assert.equal(other.kind, "other");
    assert.match(other.message, /too late/);
});
