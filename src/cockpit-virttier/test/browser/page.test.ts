// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { domain, host, longNames, manyVms, oneVm, unready, uuidOf } from "../hosts";
import { good, leave, Stage, type Visit } from "./browser";

let stage: Stage;
before(async () => {
    stage = await Stage.open();
});
after(() => stage.close());

const detail = `#/vm/${uuidOf(1)}`;

async function seen(visit: Visit, text: string): Promise<void> {
    await visit.page.getByText(text).first().waitFor();
}

/** Changes the host that the page is told of. */
async function change(visit: Visit, code: string): Promise<void> {
    await visit.page.evaluate(`(host => { ${code} })(window.fakeHost)`);
}

for (const style of ["light", "dark"] as const) {
    test(`one VM, ${style}: nothing is wrong, nobody is kept out`, async () => {
        const visit = await stage.visit({ ...oneVm(), style, doctor: unready });
        await seen(visit, "web1");
        await seen(visit, "kvm_ept_sample is not loaded");
        await good(visit, `overview-${style}`);
        await visit.page.getByRole("link", { name: "web1" }).click();
        await seen(visit, "Predictions of late");
        await visit.page.locator("canvas.vt-heat").waitFor();
        await visit.page.waitForTimeout(300);
        await good(visit, `vm-${style}`);
        await leave(visit);
    });
}

test("200 VMs: all are there, a filter and an order find one", async () => {
    const visit = await stage.visit(manyVms());
    await seen(visit, "200 running");
    const names = visit.page.locator(".vt-domains tbody .vt-name a");
    assert.equal(await names.count(), 200);
    await good(visit, "many", { fullPage: false });
    await visit.page.getByRole("button", { name: "Memory", exact: true }).click();
    await visit.page.locator("th[aria-sort=descending]", { hasText: "Memory" }).waitFor();
    assert.equal(await visit.page.locator(".vt-domains tbody tr").first().locator("td").nth(1).innerText(), "64 GiB");
    await visit.page.getByLabel("Filter by name").fill("VM-10");
    await seen(visit, "10 of 200");
    await visit.page.getByLabel("Filter by name").fill("nobody");
    await seen(visit, "No running VM has “nobody” in its name.");
    await leave(visit);
});

test("long names and odd ones break nothing", async () => {
    const visit = await stage.visit(longNames());
    await seen(visit, "<b>no & markup</b>");
    await good(visit, "long-names");
    await visit.page.goto(visit.page.url().split("#")[0] + detail);
    await seen(visit, "Predictions of late");
    await good(visit, "long-name-vm");
    await leave(visit);
});

test("a narrow window has it all, below one another", async () => {
    const visit = await stage.visit(oneVm(), detail, { width: 420, height: 800 });
    await seen(visit, "Predictions of late");
    await good(visit, "narrow");
    await visit.page.getByRole("link", { name: "Memory tiering" }).click();
    await seen(visit, "1 running");
    await good(visit, "narrow-overview", { mayScroll: "Virtual machines" });
    await leave(visit);
});

test("nothing runs", async () => {
    const visit = await stage.visit(host([]));
    await seen(visit, "No VM is running");
    await seen(visit, "Nothing is to be mended.");
    await good(visit, "empty");
    await leave(visit);
});

test("libvirt does not answer: no VM is said not to run", async () => {
    const made = host([]);
    const visit = await stage.visit({
        ...made, status: { ...made.status, libvirt: { connected: false, problem: "there is no /run/libvirt/qemu" } },
    });
    await seen(visit, "there is no /run/libvirt/qemu");
    await seen(visit, "is not known while libvirt does not answer");
    await leave(visit);
});

test("the agent is down: it says so, with what the doctor found, and comes back by itself", async () => {
    const visit = await stage.visit({ ...oneVm(), agent: "down", doctor: unready });
    await seen(visit, "systemctl start virttier");
    await seen(visit, "modprobe kvm_ept_sample");
    await good(visit, "agent-down");
    await change(visit, "host.agent = 'up'");
    await seen(visit, "web1");
    await change(visit, "host.agent = 'down'");
    await seen(visit, "What is shown is the last it said.");
    await seen(visit, "web1");
    await leave(visit);
});

test("who may not ask is told what to be", async () => {
    const visit = await stage.visit({ ...oneVm(), agent: "denied", isAdministrator: false });
    await seen(visit, "members of the group libvirt");
    await leave(visit);
});

test("a VM that ends stays as it last was", async () => {
    const visit = await stage.visit(oneVm(), detail);
    await seen(visit, "Predictions of late");
    await change(visit, "host.status.domains = []; host.details = {}; host.heat = {}");
    await seen(visit, "This VM does not run any more");
    await leave(visit);
});

test("without an administrator's rights all is seen and nothing can be set, until they are given", async () => {
    const visit = await stage.visit({ ...oneVm(), isAdministrator: false }, detail);
    await seen(visit, "Read only");
    await good(visit, "read-only");
    await visit.page.getByLabel("Try a budget").press("PageUp");
    await seen(visit, "Tried");
    const set = visit.page.getByRole("button", { name: /^Set/ });
    assert.equal(await set.isDisabled(), true);
    await visit.page.evaluate("window.fakeAdministrator(true)");
    await visit.page.locator("button:enabled", { hasText: /^Set/ }).waitFor();
    await leave(visit);
});

test("a budget is tried by keyboard, foretold, confirmed, and set by the tool", async () => {
    const visit = await stage.visit(oneVm(), detail);
    const { page } = visit;
    await seen(visit, "Predictions of late");
    const handle = page.getByLabel("Try a budget");
    await handle.focus();
    for (let i = 0; i < 32; i++)
        await page.keyboard.press("ArrowRight");
    // 32 steps of 64 MiB are 2 GiB on top of 6.
    await seen(visit, "8 GiB");
    await seen(visit, "2.1 % ± 1.2 % of accesses slow");
    assert.deepEqual(await page.evaluate("window.fakeHost.changes"), []);
    await page.getByRole("button", { name: "Set 8 GiB…" }).press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.getByText(`virttier set ${uuidOf(1)} --dram 8GiB`).waitFor();
    await good(visit, "confirmation", { fullPage: false });
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.deepEqual(await page.evaluate("window.fakeHost.changes"), []);
    await page.getByRole("button", { name: "Set 8 GiB…" }).click();
    await dialog.getByLabel("Keep it for its next starts too").check();
    await dialog.getByRole("button", { name: "Set it" }).click();
    await seen(visit, "web1 (live): dram=8GiB");
    assert.deepEqual(await page.evaluate("window.fakeHost.changes"),
        [["virttier", "set", uuidOf(1), "--dram", "8GiB", "--live", "--config"]]);
    await leave(visit);
});

test("a budget is dragged in the curve", async () => {
    const visit = await stage.visit(oneVm(), detail);
    const { page } = visit;
    await seen(visit, "Predictions of late");
    const box = (await page.locator(".vt-plot .u-over").first().boundingBox())!;
    await page.mouse.move(box.x + box.width * 6 / 16, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 4 });
    await page.mouse.up();
    await page.getByRole("button", { name: "Set 8 GiB…" }).waitFor();
    await good(visit, "dragged");
    await leave(visit);
});

test("a refused budget is told with the tool's words, and the dialog stays", async () => {
    const visit = await stage.visit({ ...oneVm(), refusal: "virttier: --config: web1 is transient" }, detail);
    await seen(visit, "Predictions of late");
    await visit.page.getByLabel("Try a budget").press("Home");
    await visit.page.getByRole("button", { name: /^Set/ }).click();
    await visit.page.getByRole("button", { name: "Set it" }).click();
    await seen(visit, "web1 is transient");
    assert.equal(await visit.page.getByRole("dialog").isVisible(), true);
    await leave(visit);
});

test("a set budget can be given back to the agent", async () => {
    const visit = await stage.visit(host([
        domain(1, "web1", { settings: [{ attribute: "dram", value: "6GiB", from: "metadata" }] }),
    ]), detail);
    await visit.page.getByRole("button", { name: "Let VirtTier decide…" }).click();
    await visit.page.getByRole("button", { name: "Set it" }).click();
    await seen(visit, "dram=auto");
    assert.deepEqual(await visit.page.evaluate("window.fakeHost.changes"), [["virttier", "set", uuidOf(1), "--dram", "auto"]]);
    await leave(visit);
});

test("the heat map tells address and time under the pointer and the keys, and zooms", async () => {
    const visit = await stage.visit(oneVm(), detail);
    const { page } = visit;
    const map = page.locator("canvas.vt-heat");
    await map.waitFor();
    const box = (await map.boundingBox())!;
    const readout = page.locator(".vt-readout");
    // Left of the map's middle row and column: axes take 120 pixels at the left and 24 below.
    await page.mouse.move(box.x + 120 + (box.width - 120) * 50.5 / 120, box.y + (box.height - 24) * 50.5 / 128);
    // Row 50 of 128 MiB begins at 6.25 GiB, and a GiB further up for the hole below 4 GiB; column 50 of 5 s at 12:04:10.
    await page.locator(".vt-readout", { hasText: "accessed" }).waitFor();
    assert.match(await readout.innerText(), /^0x1\u202fD000\u202f0000 \(7\.3 GiB\), 12:04:10: 90\.2 % accessed$/u);
    await map.focus();
    await page.keyboard.press("ArrowRight");
    assert.match(await readout.innerText(), /12:04:15/);
    await page.keyboard.press("ArrowDown");
    assert.match(await readout.innerText(), /^0x1\u202fD800\u202f0000/u);
    assert.equal(await page.getByRole("button", { name: "Show all" }).isDisabled(), true);
    for (let i = 0; i < 3; i++)
        await page.keyboard.press("+");
    assert.equal(await page.getByRole("button", { name: "Show all" }).isDisabled(), false);
    assert.match(await readout.innerText(), /^0x1\u202fD800\u202f0000 .*12:04:15/u);
    await good(visit, "heat-zoomed");
    await page.keyboard.press("0");
    assert.equal(await page.getByRole("button", { name: "Show all" }).isDisabled(), true);
    await page.locator("section", { has: map }).getByText("As a table").click();
    await page.getByRole("table", { name: /Mean share of memory of web1/ }).waitFor();
    await leave(visit);
});

test("moves show over time, from before the page was opened, for as long as the heat map", async () => {
    const visit = await stage.visit(oneVm(), detail);
    const { page } = visit;
    await seen(visit, "Predictions of late");
    const moves = page.locator("section", { has: page.getByRole("heading", { name: "Moves" }) });
    await moves.locator("details").click();
    const rows = moves.getByRole("table", { name: /Moves of web1, by the end of five seconds each/ }).locator("tbody tr");
    assert.equal(await rows.count(), 20);
    assert.match(await rows.last().innerText(), /^12:10:30\s+[\d.]+ MiB\s+[\d.]+ MiB$/);
    // At the right edge what is now, at the upper one the events; colours tell bars and marks from the rest.
    assert.deepEqual(await inkOf(page), { dram: true, slow: true, marks: 1 });
    await good(visit, "moves");

    await page.getByRole("button", { name: "2.6 h" }).click();
    await moves.getByRole("table", { name: /by the end of a minute each/ }).waitFor();
    assert.deepEqual(await inkOf(page), { dram: true, slow: true, marks: 2 });
    await page.getByRole("button", { name: "26 h" }).click();
    const day = moves.getByRole("table", { name: /by the end of ten minutes each/ }).locator("tbody tr");
    await day.first().waitFor();
    assert.deepEqual(await day.locator("th").allInnerTexts(), ["03-01 12:00", "03-01 12:10", "03-01 12:20"]);
    await leave(visit);

    const made = oneVm();
    made.details[uuidOf(1)]!.moves = [];
    const unattached = await stage.visit(made, detail);
    await seen(unattached, "Up, since it was attached");
    assert.equal(await unattached.page.getByText("▾").count(), 0);
    await leave(unattached);
});

/** What the plot of moves has on it: bars of each colour, and marks at its upper edge. */
async function inkOf(page: Page): Promise<{ dram: boolean; slow: boolean; marks: number }> {
    return await page.locator(".vt-plot canvas").nth(1).evaluate(element => {
        const canvas = element as HTMLCanvasElement;
        const { width, height } = canvas;
        const pixels = canvas.getContext("2d")!.getImageData(0, 0, width, height).data;
        const wanted = (name: string) => {
            const probe = document.createElement("canvas").getContext("2d")!;
            probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
            probe.fillRect(0, 0, 1, 1);
            return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const [dram, slow, mark] = [wanted("--vt-dram"), wanted("--vt-slow"), wanted("--vt-mark")];
        const is = (x: number, y: number, colour: number[]) =>
            colour.every((part, i) => pixels[(y * width + x) * 4 + i] === part);
        const found = { dram: false, slow: false, marks: 0 };
        for (let y = 0; y < height; y++) {
            for (let x = 0; x < width; x++) {
                found.dram ||= is(x, y, dram);
                found.slow ||= is(x, y, slow);
            }
        }
        const rows = Array.from({ length: height }, (_, y) => {
            let runs = 0;
            for (let x = 1; x < width; x++)
                runs += is(x, y, mark) && !is(x - 1, y, mark) ? 1 : 0;
            return runs;
        });
        found.marks = Math.max(...rows);
        return found;
    });
}
