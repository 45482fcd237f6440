// SPDX-License-Identifier: Apache-2.0
import "./style.css";
import { render } from "preact";
import { CockpitSource } from "./agent/cockpit-source";
import { App } from "./view/app";
import { followTheme } from "./view/theme";

followTheme(true);
document.addEventListener("DOMContentLoaded", () => {
    render(<App source={new CockpitSource()} />, document.body);
});
