// SPDX-License-Identifier: Apache-2.0
import type { Domain, HeatLevel } from "../agent/answers";

export type Column = "name" | "state" | "memory" | "fast" | "slow" | "hot" | "hotFast" | "moved";

export interface Order {
    column: Column;
    isDescending: boolean;
}

const keys: Record<Column, (domain: Domain) => number | string> = {
    name: domain => domain.name,
    state: domain => domain.stateName,
    memory: domain => domain.memoryBytes,
    fast: domain => domain.fastBytes,
    slow: domain => domain.slowBytes,
    hot: domain => domain.hotBytes,
    hotFast: domain => domain.hotBytes > 0 ? domain.hotFastBytes / domain.hotBytes : -1,
    moved: domain => domain.promotedPages + domain.demotedPages,
};

/** The VMs with a text in their name, in order; those that are equal by name. */
export function select(domains: readonly Domain[], text: string, { column, isDescending }: Order): Domain[] {
    const wanted = text.trim().toLowerCase();
    const key = keys[column];
    return domains
        .filter(domain => domain.name.toLowerCase().includes(wanted))
        .sort((a, b) => (isDescending ? -1 : 1) * compare(key(a), key(b)) || compare(a.name, b.name));
}

function compare(a: number | string, b: number | string): number {
    return typeof a === "string" ? a.localeCompare(String(b), undefined, { numeric: true }) : a - Number(b);
}

/** What a click on a column's head makes of an order: names first from A, figures first the largest. */
export function reorder(order: Order, column: Column): Order {
    return order.column === column
        ? { column, isDescending: !order.isDescending }
        : { column, isDescending: column !== "name" && column !== "state" };
}

/** What keeps pages where they are, in words. */
export function whyUnmoved(cause: string): string {
    return causes[cause] ?? cause;
}

const causes: Record<string, string> = {
    Busy: "in use by the kernel at each try so far",
    Shared: "shared with other processes, and the agent lacks CAP_SYS_NICE to move such pages",
    Absent: "not there any more: given back by a balloon, or swapped out",
    Pinned: "pinned, as for a passed-through device; tried again later",
    Contested: "moved back twice by something else; tried again later",
    TargetFull: "no room on the node that it was to go to",
    ForbiddenByCpuset: "a cpuset forbids the node that it was to go to",
    Refused: "the kernel refused it",
};

export interface HeatBand {
    label: string;
    fastBytes: number;
    slowBytes: number;
}

const bounds = [0.65, 0.45, 0.25, 0.1, 0.03, 0];

/** A histogram of heat in a few bands, the hottest first. */
export function heatBands(levels: readonly HeatLevel[]): HeatBand[] {
    const bands = bounds.map((least, i) => {
        const end = bounds[i - 1] ?? Infinity;
        return band(`${percents(least)} to ${percents(Math.min(1, end))} %`,
            levels.filter(({ leastHeat }) => leastHeat !== undefined && leastHeat >= least && leastHeat < end));
    });
    return [...bands, band("never", levels.filter(({ leastHeat }) => leastHeat === undefined))];
}

function band(label: string, levels: HeatLevel[]): HeatBand {
    return {
        label,
        fastBytes: levels.reduce((sum, level) => sum + level.fastBytes, 0),
        slowBytes: levels.reduce((sum, level) => sum + level.slowBytes, 0),
    };
}

function percents(share: number): string {
    return (share * 100).toFixed(0);
}

/** The command that gives a VM a budget. By UUID: a name may look like an option. */
export function budgetCommand(uuid: string, dram: string, keep: boolean): string[] {
    return ["virttier", "set", uuid, "--dram", dram, ...(keep ? ["--live", "--config"] : [])];
}
