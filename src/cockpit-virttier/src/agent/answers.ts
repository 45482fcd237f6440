// SPDX-License-Identifier: Apache-2.0
// What the agent answers over D-Bus (docs/dbus.md), as far as it is shown here. Sizes are bytes, shares 0..1, times seconds.

export interface AgentStatus {
    version: string;
    uptimeSeconds: number;
    libvirt: { connected: boolean; problem?: string; source?: string };
    tiers: Tier[];
    poolBytes: number;
    domains: Domain[];
    hung: string[];
    rehomes: boolean;
}

export interface Tier {
    name: string;
    nodes: number[];
    totalBytes: number;
    freeBytes: number;
}

export type StateName = "attaching" | "waiting" | "tiering" | "settling" | "following" | "observing" | "paused" | "off";

export interface Domain {
    name: string;
    uuid: string;
    stateName: StateName;
    needsAttention: boolean;
    reason?: string;
    mode: string;
    memoryBytes: number;
    budgetBytes: number;
    settings: Setting[];
    problems: { attribute: string; value: string; message: string }[];
    rounds: number;
    roundSeconds: number;
    fastBytes: number;
    slowBytes: number;
    hotBytes: number;
    hotFastBytes: number;
    promotedPages: number;
    demotedPages: number;
    pingPongShare: number;
    unmoved: Record<string, number>;
}

export interface Setting {
    attribute: string;
    value: string;
    from: string;
    cut?: string;
}

export interface DomainDetail {
    status: Domain;
    nodes: { node: number; bytes: number }[];
    heat: HeatLevel[];
    /** The last minutes, hours and day. */
    moves: MovedBytes[];
    curve?: Curve;
    events: { time: string; text: string }[];
}

/** What was moved in each column of time, the oldest first; the last is that of now. */
export interface MovedBytes {
    first: string;
    columnSeconds: number;
    upBytes: number[];
    downBytes: number[];
}

/** Memory of one heat: accessed in at least this share of harvests, and in less than the next level's; none: never. */
export interface HeatLevel {
    leastHeat?: number;
    fastBytes: number;
    slowBytes: number;
}

export interface Curve {
    budgetBytes: number;
    fastBytes: number;
    error?: number;
    accessesPerSecond: number;
    points: CurvePoint[];
}

export interface CurvePoint {
    dramBytes: number;
    slowShare: number;
}

/** Column after column, the oldest first; a cell is 0 where nobody looked, else 1 + 254 times the share accessed. */
export interface DomainHeat {
    first: string;
    columnSeconds: number;
    rowBytes: number;
    addresses: number[];
    cells: string;
}

export type Severity = "Ok" | "Note" | "Warning" | "Error";

export interface DoctorReport {
    severity: Severity;
    findings: Finding[];
}

export interface Finding {
    check: string;
    severity: Severity;
    text: string;
    mend?: string;
}

export const pageBytes = 4096;
