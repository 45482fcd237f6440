// SPDX-License-Identifier: Apache-2.0
// in-cockpit URL UUID set|read|down: the page in a real Cockpit, which needs no log-in, as a person uses it. Half of the VM's
// memory is set as its budget; or nothing can be set; or there is no agent. What is wrong ends it with exit status 1. It prints
// "confirmed" when the budget is about to be confirmed and "told" when the page says that it is set.
import assert from "node:assert/strict";
import { chromium, type FrameLocator, type Page } from "playwright-core";

const [url, uuid, kind] = process.argv.slice(2) as [string, string, "set" | "read" | "down"];
const picture = process.env["VIRTTIER_PICTURES"];

const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
});
try {
    const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
    page.setDefaultTimeout(60_000);
    const complaints: string[] = [];
    // Cockpit's own pages may complain of what this host has not.
    page.on("console", message => {
        if (message.type() === "error" && message.location().url.includes("/virttier/"))
            complaints.push(message.text());
    });
    page.on("pageerror", error => {
        if (error.stack?.includes("/virttier/"))
            complaints.push(error.stack);
    });
    await open(page, `${url}/virttier#/${uuid ? `vm/${uuid}` : ""}`);
    const frame = page.frameLocator("iframe[name$='/virttier']");
    await (kind === "down" ? seeNoAgent(frame) : seeVm(page, frame));
    if (picture)
        await page.screenshot({ path: `${picture}/in-cockpit-${kind}.png` });
    assert.deepEqual(complaints, []);
} finally {
    await browser.close();
}

/** Cockpit may be about to start. */
async function open(page: Page, address: string): Promise<void> {
    for (let tries = 1; ; tries++) {
        try {
            await page.goto(address, { waitUntil: "domcontentloaded" });
            return;
        } catch (error) {
            if (tries === 50)
                throw error;
            await page.waitForTimeout(200);
        }
    }
}

async function seeNoAgent(frame: FrameLocator): Promise<void> {
    await frame.getByText("The agent is not running").first().waitFor();
    await frame.getByText("mend it with").nth(1).waitFor();
}

async function seeVm(page: Page, frame: FrameLocator): Promise<void> {
    await frame.getByText("Predictions of late").waitFor();
    await frame.locator("canvas.vt-heat").waitFor();
    const box = (await frame.locator(".vt-plot .u-over").first().boundingBox())!;
    await page.mouse.move(box.x + box.width / 4, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 5 });
    await page.mouse.up();
    const set = frame.getByRole("button", { name: /^Set .*…$/ });
    if (kind === "read") {
        await frame.getByText("Read only").waitFor();
        assert.equal(await set.isDisabled(), true);
    } else {
        await set.click();
        console.log("confirmed");
        await frame.getByRole("button", { name: "Set it" }).click();
        await frame.getByText("The domain’s metadata is written").waitFor();
        console.log("told");
    }
}
