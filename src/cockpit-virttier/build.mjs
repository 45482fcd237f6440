// SPDX-License-Identifier: Apache-2.0
// build.mjs OUTDIR: the page for Cockpit, as OUTDIR/virttier, and the page that virttier report fills, as OUTDIR/report.html.
import { build } from "esbuild";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { withoutUnused } from "./prune-css.mjs";

const top = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) {
    console.error("usage: build.mjs OUTDIR");
    process.exit(2);
}

/** A bundle's script and style. */
async function bundle(entry) {
    const { outputFiles, metafile } = await build({
        absWorkingDir: top,
        entryPoints: [`src/${entry}.tsx`],
        outdir: "out",
        bundle: true,
        minify: true,
        write: false,
        metafile: true,
        format: "iife",
        // The oldest that Debian 12 had, and Firefox ESR of its time.
        target: ["chrome111", "firefox102", "safari16"],
        // Pictures of PatternFly's other themes, whose rules are left out below.
        external: ["*.svg"],
        charset: "utf8",
        legalComments: "none",
    });
    const text = ending => outputFiles.find(file => file.path.endsWith(ending)).text;
    const script = text(".js");
    const notice = noticeOf(Object.keys(metafile.inputs));
    return { script: notice + script, style: notice + withoutUnused(text(".css"), script) };
}

// Of packages that bring no file with their licence.
const holders = { "@patternfly/patternfly": "Copyright (c) Red Hat, Inc.; permission is granted as in the text below." };

const named = readFileSync(join(top, "../../LICENSES/third-party.txt"), "utf8");

/** The licences of what a bundle is made of go where it goes. */
function noticeOf(inputs) {
    const packages = [...new Set(inputs
        .map(path => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
        .filter(name => name !== undefined))].sort();
    const texts = packages.map(name => {
        const folder = join(top, "node_modules", name);
        const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
        const file = readdirSync(folder).find(entry => /^licen[cs]e/i.test(entry));
        if (license !== "MIT")
            throw new Error(`${name} has the licence ${license}: see whether it may be shipped, and what it asks for`);
        const text = file ? readFileSync(join(folder, file), "utf8").trim() : holders[name];
        if (!text || !named.includes(`  ${name} `))
            throw new Error(`${name} is not in LICENSES/third-party.txt, or nobody is said to have its copyright`);
        return `${name} ${version}, MIT License:\n${text}`;
    });
    return `/*! VirtTier, Apache-2.0. It contains:\n\n${texts.join("\n\n")}\n*/\n`;
}

const page = await bundle("page");
const folder = join(out, "virttier");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
cpSync(join(top, "static", "index.html"), join(folder, "index.html"));
cpSync(join(top, "static", "manifest.json"), join(folder, "manifest.json"));
writeFileSync(join(folder, "index.js"), page.script);
writeFileSync(join(folder, "index.css"), page.style);

const report = await bundle("report");
for (const [kind, text] of Object.entries(report)) {
    if (/<\/(script|style)/i.test(text))
        throw new Error(`the ${kind} would end its own element`);
}
const template = readFileSync(join(top, "static", "report.html"), "utf8")
    .replace("/* style */", () => report.style)
    .replace("/* script */", () => report.script);
writeFileSync(join(out, "report.html"), template);
