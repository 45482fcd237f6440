// SPDX-License-Identifier: Apache-2.0
// Chromium with the page in it, served from loopback under the headers that Cockpit sends.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import type { Host } from "../hosts";

const built = process.env["VIRTTIER_COCKPIT"]!;
const sources = process.env["VIRTTIER_COCKPIT_SOURCES"]!;
const pictures = process.env["VIRTTIER_PICTURES"];
const documents = process.env["VIRTTIER_DOCUMENT_PICTURES"];

export const reportTemplate = join(built, "report.html");

const axeSource = readFileSync(join(sources, "node_modules/axe-core/axe.min.js"), "utf8");

// What cockpit-ws of Debian 12 and 13 sends for a package that asks for nothing of its own.
const policy = (origin: string) => [
    `default-src 'self' ${origin}`, `connect-src 'self' ${origin} ${origin.replace("http", "ws")}`, "form-action 'self'",
    "base-uri 'self'", "object-src 'none'", "font-src 'self' data:", "img-src 'self' data:",
].join("; ");

const types: Record<string, string> = { html: "text/html", js: "text/javascript", css: "text/css", json: "application/json" };

/** A page that is looked at, with all that was wrong with it on the way. */
export interface Visit {
    page: Page;
    requests: string[];
    complaints: string[];
}

/** A browser and a server that live as long as a file's tests. */
export class Stage {
    private constructor(private readonly browser: Browser, private readonly server: Server) {
    }

    static async open(): Promise<Stage> {
        const server = createServer((request, response) => {
            const path = new URL(request.url!, "http://localhost").pathname;
            const file = path === "/cockpit/base1/cockpit.js" ? join(sources, "test/browser/fake-cockpit.js")
                : /^\/cockpit\/virttier\/[\w.]+$/.test(path) ? join(built, "virttier", path.slice("/cockpit/virttier/".length))
                : undefined;
            try {
                const body = readFileSync(file ?? "");
                response.writeHead(200, {
                    "Content-Type": types[file!.split(".").at(-1)!] ?? "text/plain",
                    "Content-Security-Policy": policy(`http://${request.headers.host}`),
                    "X-Content-Type-Options": "nosniff",
                });
                response.end(body);
            } catch {
                response.writeHead(path === "/favicon.ico" ? 204 : 404).end();
            }
        });
        await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
        const browser = await chromium.launch({
            executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
            args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", "--font-render-hinting=none"],
        });
        return new Stage(browser, server);
    }

    async close(): Promise<void> {
        await this.browser.close();
        this.server.close();
    }

    /** The page in Cockpit, on a host. */
    async visit(host: Host, hash = "", size = { width: 1280, height: 900 }): Promise<Visit> {
        const visit = await this.begin(size);
        await visit.page.addInitScript((made: Host) => {
            Object.assign(window, { fakeHost: made });
            localStorage.setItem("shell:style", made.style);
        }, host);
        const { port } = this.server.address() as AddressInfo;
        await visit.page.goto(`http://127.0.0.1:${port}/cockpit/virttier/index.html${hash}`);
        return visit;
    }

    /** A file, as from a mail. */
    async open(file: string, scheme: "light" | "dark" = "light", hash = ""): Promise<Visit> {
        const visit = await this.begin({ width: 1280, height: 900 }, scheme);
        await visit.page.goto(`file://${file}${hash}`);
        return visit;
    }

    private async begin(viewport: { width: number; height: number }, colorScheme: "light" | "dark" = "light"): Promise<Visit> {
        const context = await this.browser.newContext({ viewport, colorScheme, timezoneId: "UTC", locale: "en-GB" });
        const page = await context.newPage();
        page.setDefaultTimeout(20_000);
        const visit: Visit = { page, requests: [], complaints: [] };
        page.on("console", message => {
            if (message.type() === "error" || message.type() === "warning")
                visit.complaints.push(message.text());
        });
        page.on("pageerror", error => visit.complaints.push(String(error)));
        page.on("request", request => visit.requests.push(request.url()));
        return visit;
    }
}

/** Closes a visit, on which nothing may have been wrong. */
export async function leave({ page, complaints }: Visit): Promise<void> {
    await page.context().close();
    assert.deepEqual(complaints, []);
}

/** What axe finds that keeps people out. */
async function barriers(page: Page): Promise<string[]> {
    // As a debugger, not as the page: its policy forbids strangers' scripts.
    await page.evaluate(`${axeSource}; undefined`);
    const found = await page.evaluate(async () => {
        const { axe } = window as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
        interface Violation { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }
        return (await axe.run()).violations.map(({ id, impact, nodes }) =>
            ({ id, impact, nodes: nodes.slice(0, 3).map(node => `${node.html.slice(0, 160)} ${node.failureSummary}`) }));
    });
    return found
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.join("; ")}`);
}

/** The pictures that documents show, and how high. */
const documented: Record<string, readonly [string, number]> = {
    "overview-light": ["cockpit", 830],
    "vm-light": ["cockpit-vm", 1240],
};

/** Keeps a picture where VIRTTIER_PICTURES says, and one that documents show as WebP where VIRTTIER_DOCUMENT_PICTURES says. */
async function picture(page: Page, name: string, fullPage = true): Promise<void> {
    if (pictures) {
        mkdirSync(pictures, { recursive: true });
        await page.screenshot({ path: join(pictures, `${name}.png`), fullPage });
    }
    const [file, height] = documented[name] ?? [];
    if (!documents || !file || !height)
        return;
    mkdirSync(documents, { recursive: true });
    const { width } = page.viewportSize()!;
    const png = await page.screenshot({ fullPage: true, clip: { x: 0, y: 0, width, height } });
    const converter = await page.context().newPage();
    const webp = await converter.evaluate(async base64 => {
        const image = new Image();
        image.src = `data:image/png;base64,${base64}`;
        await image.decode();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.width, image.height];
        canvas.getContext("2d")!.drawImage(image, 0, 0);
        return canvas.toDataURL("image/webp", 0.85).split(",")[1]!;
    }, png.toString("base64"));
    writeFileSync(join(documents, `${file}.webp`), Buffer.from(webp, "base64"));
    await converter.close();
}

/** Keeps a picture of a state in which nothing is cut off and nobody is kept out. */
export async function good(visit: Visit, name: string, { fullPage = true, mayScroll = "" } = {}): Promise<void> {
    await picture(visit.page, name, fullPage);
    const wide = await visit.page.evaluate(mayScroll =>
        [document.documentElement, ...document.querySelectorAll(".vt-scroll, .pf-v6-c-card")]
            .filter(element => !element.closest("details:not([open])"))
            .filter(element => element.scrollWidth > element.clientWidth && element.ariaLabel !== mayScroll)
            .map(element => `${element.ariaLabel ?? element.className}: ${element.scrollWidth} > ${element.clientWidth}`),
    mayScroll);
    assert.deepEqual(wide, []);
    assert.deepEqual(await barriers(visit.page), []);
}
