// SPDX-License-Identifier: Apache-2.0

// A custom property's declaration in minified CSS; strings and parentheses may hold what else would end it.
const string = /"[^"]*"|'[^']*'/.source;
const parentheses = `\\((?:${string}|[^()"']|\\((?:[^()]|\\([^()]*\\))*\\))*\\)`;
const declaration = new RegExp(`(?<=[{;])(--[\\w-]+):(?:${string}|${parentheses}|[^;{}"'()])*(?:;|(?=\\}))`, "g");

const rule = /(?<=^|[{};])([^{};]+)\{([^{}]*)\}/g;

// Names of other people's classes; a name that a script puts together has its end as a word of its own in the script.
const otherClass = /\.(pf-[\w-]+|u-[\w-]+|uplot)/g;

/**
 * PatternFly has rules for every form of a component, and thousands of custom properties. What neither the style nor the script
 * asks for is left out.
 */
export function withoutUnused(css, script) {
    const isUsed = name => script.includes(name) || script.includes(`"${name.replace(/^pf-m-/, "")}"`);
    css = css.replace(rule, (whole, selectors, body) => {
        if (/^\s*(@|from|to|\d)/.test(selectors))
            return whole;
        const kept = split(selectors).filter(selector => {
            const needed = selector.replace(/:(?:not|where|is)\([^()]*(?:\([^()]*\)[^()]*)*\)/g, "");
            return Array.from(needed.matchAll(otherClass), match => match[1]).every(isUsed);
        });
        return kept.length === 0 ? "" : `${kept.join(",")}{${body}}`;
    });
    const inScript = new Set(script.match(/--[\w-]+/g) ?? []);
    for (;;) {
        const used = new Set(Array.from(css.matchAll(/var\((--[\w-]+)/g), match => match[1]));
        const smaller = css.replace(declaration, (whole, name) => used.has(name) || inScript.has(name) ? whole : "");
        if (smaller.length === css.length)
            return css;
        css = smaller;
    }
}

/** A list of selectors, at the commas that are in no parentheses. */
function split(selectors) {
    const parts = [""];
    let depth = 0;
    for (const character of selectors) {
        depth += character === "(" ? 1 : character === ")" ? -1 : 0;
        if (character === "," && depth === 0)
            parts.push("");
        else
            parts[parts.length - 1] += character;
    }
    return parts;
}
