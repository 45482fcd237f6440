// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
// @ts-expect-error: it is plain JavaScript, for the build
import { withoutUnused } from "../prune-css.mjs";

test("what nobody asks for is left out, what somebody does stays", () => {
    assert.equal(withoutUnused(
        ":root{--a:1;--b:var(--a);--c:url(\"x;y\");--d:3}p{x:var(--b)}.pf-v6-c-tabs{y:1}.pf-v6-c-card,.pf-v6-c-menu:hover{z:1}",
        "\"pf-v6-c-card\" \"--d\""),
    ":root{--a:1;--b:var(--a);--d:3}p{x:var(--b)}.pf-v6-c-card{z:1}");
    assert.equal(withoutUnused("@keyframes k{from{a:1}to{a:2}}.pf-m-red{a:1}.pf-m-tan{a:1}", "`pf-m-${c}` \"red\""),
        "@keyframes k{from{a:1}to{a:2}}.pf-m-red{a:1}");
});
