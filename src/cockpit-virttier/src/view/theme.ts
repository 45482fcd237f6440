// SPDX-License-Identifier: Apache-2.0
import { useEffect, useState } from "preact/hooks";

const darkClass = "pf-v6-theme-dark";
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");

function wantsDark(style: string | null): boolean {
    return style === "dark" || (style !== "light" && systemIsDark.matches);
}

function cockpitStyle(): string | null {
    try {
        return localStorage.getItem("shell:style");
    } catch {
        // A file that was opened from a disk may have no storage.
        return null;
    }
}

/** Follows Cockpit's choice of light or dark, or the system's where there is no Cockpit. */
export function followTheme(isInCockpit: boolean): void {
    const apply = (style: string | null) => {
        document.documentElement.classList.toggle(darkClass, wantsDark(style));
        window.dispatchEvent(new Event("virttier-theme"));
    };
    const current = () => isInCockpit ? cockpitStyle() : null;
    apply(current());
    systemIsDark.addEventListener("change", () => apply(current()));
    if (isInCockpit) {
        window.addEventListener("storage", event => event.key === "shell:style" && apply(event.newValue));
        window.addEventListener("cockpit-style", event =>
            event instanceof CustomEvent && apply((event.detail as { style?: string }).style ?? null));
    }
}

/** Whether the page is dark; what is drawn by hand is drawn anew when that changes. */
export function useDark(): boolean {
    const look = () => document.documentElement.classList.contains(darkClass);
    const [isDark, setDark] = useState(look);
    useEffect(() => {
        const changed = () => setDark(look());
        window.addEventListener("virttier-theme", changed);
        return () => window.removeEventListener("virttier-theme", changed);
    }, []);
    return isDark;
}

/** A colour of the style sheet, for what is drawn by hand. */
export function colour(name: string): string {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
