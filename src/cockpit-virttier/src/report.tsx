// SPDX-License-Identifier: Apache-2.0
import "./style.css";
import { render } from "preact";
import { type Report, ReportSource } from "./agent/report-source";
import { App } from "./view/app";
import { followTheme } from "./view/theme";

followTheme(false);
document.addEventListener("DOMContentLoaded", () => {
    const data = document.getElementById("virttier-report")?.textContent ?? "";
    render(<App source={new ReportSource(JSON.parse(data) as Report)} />, document.body);
});
