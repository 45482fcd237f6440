// SPDX-License-Identifier: Apache-2.0
import "./style.css";
import { render } from "preact";
import { type Report, ReportSource } from "./agent/report-source";
import { App } from "./view/app";
import { followTheme } from "./view/theme";

followTheme(false);
document.addEventListener("DOMContentLoaded", () => {
    void unpack(document.getElementById("virttier-report")!.textContent!).then(report =>
        render(<App source={new ReportSource(report)} />, document.body));
});

async function unpack(base64: string): Promise<Report> {
    const packed = Uint8Array.from(atob(base64), character => character.charCodeAt(0));
    return await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json() as Report;
}
