// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { type Host, host, longNames, manyVms, oneVm, reportOf, unready, uuidOf } from "../hosts";
import { good, leave, reportTemplate, Stage } from "./browser";

let stage: Stage;
const folder = mkdtempSync(join(tmpdir(), "virttier-report-"));
before(async () => {
    stage = await Stage.open();
});
after(async () => {
    await stage.close();
    rmSync(folder, { recursive: true });
});

/** Fills the page as the tool does. */
function write(made: Host): string {
    const file = join(folder, "report.html");
    const packed = gzipSync(JSON.stringify(reportOf(made))).toString("base64");
    writeFileSync(file, readFileSync(reportTemplate, "utf8").replace("/* report */", packed));
    return file;
}

for (const scheme of ["light", "dark"] as const) {
    test(`a report opens from a file and asks nobody anything, ${scheme}`, async () => {
        const file = write({ ...oneVm(), doctor: unready });
        const visit = await stage.open(file, scheme);
        const { page } = visit;
        await page.getByText("Memory tiering on host1.example.org").waitFor();
        await page.getByText("modprobe kvm_ept_sample").waitFor();
        await good(visit, `report-${scheme}`);
        await page.getByRole("link", { name: "web1" }).click();
        await page.locator("canvas.vt-heat").waitFor();
        await page.getByText("Predictions of late").waitFor();
        const moves = page.locator("section", { has: page.getByRole("heading", { name: "Moves" }) });
        await moves.locator("details").click();
        await moves.getByRole("row", { name: /^12:10:30/ }).waitFor();
        await moves.locator("details > summary").click();
        await good(visit, `report-vm-${scheme}`);
        assert.equal(await page.getByRole("button", { name: /^Set/ }).count(), 0);
        assert.equal(await page.getByLabel("Try a budget").count(), 0);
        await page.goBack();
        await page.getByText("Memory tiering on host1.example.org").waitFor();
        assert.deepEqual(visit.requests, [`file://${file}`]);
        await leave(visit);
    });
}

test("a report of 200 VMs can be mailed, and one of none, and odd names are text", async () => {
    const large = write(manyVms());
    assert.ok(readFileSync(large).length < 4e6, `${readFileSync(large).length} bytes`);
    const visit = await stage.open(large);
    await visit.page.getByText("200 running").waitFor();
    await good(visit, "report-many", { fullPage: false });
    await leave(visit);

    const empty = await stage.open(write(host([])));
    await empty.page.getByText("No VM is running").waitFor();
    await good(empty, "report-empty");
    await leave(empty);

    const odd = await stage.open(write(longNames()));
    await odd.page.getByText("<b>no & markup</b>").waitFor();
    await good(odd, "report-long-names");
    await leave(odd);
});

test("a VM that ended while the report was made is said to be missing", async () => {
    const made = oneVm();
    const visit = await stage.open(write({ ...made, details: {} }), "light", `#/vm/${uuidOf(1)}`);
    await visit.page.getByText("This report has no VM").waitFor();
    await leave(visit);
});
