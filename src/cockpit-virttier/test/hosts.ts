// SPDX-License-Identifier: Apache-2.0
// Hosts to look at, as the agent would tell of them.
import type { AgentStatus, DoctorReport, Domain, DomainDetail, DomainHeat, MovedBytes } from "../src/agent/answers";
import type { Report } from "../src/agent/report-source";

export const mebibyte = 1024 ** 2;
export const gibibyte = 1024 ** 3;

/** All that a fake Cockpit answers from. */
export interface Host {
    /** "up", "down" or "denied". */
    agent: string;
    isAdministrator: boolean;
    style: "light" | "dark" | "auto";
    status: AgentStatus;
    details: Record<string, DomainDetail>;
    heat: Record<string, DomainHeat>;
    doctor: DoctorReport;
    /** What was spawned that changes something. */
    changes: string[][];
    /** Why a change fails; undefined: it does not. */
    refusal?: string;
}

export function uuidOf(number: number): string {
    return `c0ffee00-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

export function domain(number: number, name: string, change: Partial<Domain> = {}): Domain {
    return {
        name,
        uuid: uuidOf(number),
        stateName: "tiering",
        needsAttention: false,
        mode: "enforce",
        memoryBytes: 16 * gibibyte,
        budgetBytes: 6 * gibibyte,
        settings: [
            { attribute: "dram", value: "auto", from: "built in" },
            { attribute: "mode", value: "enforce", from: "defaults" },
        ],
        problems: [],
        rounds: 412,
        roundSeconds: 10,
        fastBytes: 5.75 * gibibyte,
        slowBytes: 9.25 * gibibyte,
        hotBytes: 4 * gibibyte,
        hotFastBytes: 3.9 * gibibyte,
        promotedPages: 1_500_000,
        demotedPages: 3_900_000,
        pingPongShare: 0.021,
        unmoved: { Pinned: 312, Busy: 17 },
        ...change,
    };
}

const corners = [[0, 1], [1, 0.55], [2, 0.31], [4, 0.12], [6, 0.048], [8, 0.021], [11, 0.006], [16, 0]] as const;

export function detailOf(status: Domain): DomainDetail {
    const points = corners.map(([part, share]) => ({ dramBytes: part / 16 * status.memoryBytes, slowShare: share }));
    return {
        status,
        nodes: [{ node: 0, bytes: status.fastBytes }, { node: 2, bytes: status.slowBytes }],
        heat: [undefined, 0.005, 0.02, 0.05, 0.15, 0.3, 0.5, 0.8].map((leastHeat, i) => ({
            ...(leastHeat === undefined ? {} : { leastHeat }),
            fastBytes: Math.round(status.fastBytes * (i + 1) / 36),
            slowBytes: Math.round(status.slowBytes * (8 - i) / 36),
        })),
        moves: movesOf(),
        curve: {
            budgetBytes: status.budgetBytes, fastBytes: status.fastBytes, error: 0.012, accessesPerSecond: 51200, points,
        },
        events: [
            { time: "2026-03-01T11:58:00+00:00", text: "attached to process 4711, 16 GiB of guest memory" },
            { time: "2026-03-01T11:58:02+00:00", text: "budget 6 GiB, mode Enforce" },
            { time: "2026-03-01T12:10:22+00:00", text: "below its budget after 12 min" },
        ],
    };
}

/** Much goes down after the VM was taken up, some comes up again; then less and less, in columns that end at 12:10:30. */
export function movesOf(): MovedBytes[] {
    return [5, 60, 600].map(columnSeconds => {
        const end = Math.ceil(Date.UTC(2026, 2, 1, 12, 10, 30) / 1000 / columnSeconds) * columnSeconds;
        const begun = Date.UTC(2026, 2, 1, 11, 58) / 1000;
        const columns = Array.from({ length: 160 }, (_, i) => end - (159 - i) * columnSeconds);
        const bytes = (time: number, most: number) => time <= begun ? 0
            : Math.round(most * Math.exp((begun - time) / 240) / 4096 / (1 + (time / columnSeconds) % 3)) * 4096;
        return {
            first: new Date((end - 160 * columnSeconds) * 1000).toISOString(),
            columnSeconds,
            upBytes: columns.map(time => bytes(time, 100 * mebibyte)),
            downBytes: columns.map(time => bytes(time, 400 * mebibyte)),
        };
    });
}

/** A hot set that wanders, a band that ends, and a hole of the PC's between 3 and 4 GiB. */
export function heatOf(memoryBytes: number, columnSeconds = 5): DomainHeat {
    const rows = 128;
    const columns = 120;
    const rowBytes = memoryBytes / rows;
    const cells = Buffer.alloc(rows * columns);
    for (let column = 0; column < columns; column++) {
        for (let row = 0; row < rows; row++) {
            const wandering = Math.exp(-(((row - 10 - column * 0.8) / 7) ** 2));
            const band = row > 100 && row < 112 && column < 70 ? 0.45 : 0;
            const share = Math.min(1, wandering * 0.9 + band + (((row >> 3) * 7 + (column >> 3) * 13) % 5) * 0.004);
            cells[column * rows + row] = column >= 90 && column < 94 ? 0 : 1 + Math.ceil(254 * share);
        }
    }
    return {
        first: "2026-03-01T12:00:00+00:00",
        columnSeconds,
        rowBytes,
        addresses: Array.from({ length: rows }, (_, row) => row * rowBytes + (row * rowBytes >= 3 * gibibyte ? gibibyte : 0)),
        cells: cells.toString("base64"),
    };
}

export const ready: DoctorReport = {
    severity: "Ok",
    findings: ["configuration", "kernel", "kvm", "module", "tiers", "libvirt", "agent", "hook"].map(check =>
        ({ check, severity: "Ok" as const, text: "as it should be" })),
};

export const unready: DoctorReport = {
    severity: "Error",
    findings: [
        ...ready.findings.slice(0, 3),
        {
            check: "module", severity: "Error", text: "kvm_ept_sample is not loaded",
            mend: "apt install kvm-ept-sample-dkms && modprobe kvm_ept_sample",
        },
        {
            check: "numa balancing", severity: "Warning", text: "on: it takes pages out of the tables that VirtTier reads",
            mend: "sysctl kernel.numa_balancing=0",
        },
        { check: "tiers", severity: "Note", text: "one memory tier: VMs are only watched", mend: "virttier estimate" },
    ],
};

export function host(domains: Domain[], change: Partial<Host> = {}): Host {
    return {
        agent: "up",
        isAdministrator: true,
        style: "light",
        status: {
            version: "0.2.0",
            uptimeSeconds: 93_000,
            libvirt: { connected: true, source: "dbus" },
            tiers: [
                { name: "fast", nodes: [0, 1], totalBytes: 256 * gibibyte, freeBytes: 90 * gibibyte },
                { name: "slow", nodes: [2], totalBytes: 512 * gibibyte, freeBytes: 300 * gibibyte },
            ],
            poolBytes: 224 * gibibyte,
            domains,
            hung: [],
            rehomes: false,
        },
        details: Object.fromEntries(domains.map(one => [one.uuid, detailOf(one)])),
        heat: Object.fromEntries(domains.map(one => [one.uuid, heatOf(one.memoryBytes)])),
        doctor: ready,
        changes: [],
        ...change,
    };
}

export const oneVm = () => host([domain(1, "web1")]);

/** What `virttier report` would write of a host. */
export function reportOf({ status, doctor, details, heat }: Host): Report {
    return {
        host: "host1.example.org",
        made: "2026-03-01T12:11:00+00:00",
        status,
        doctor,
        domains: Object.entries(details).map(([uuid, detail]) => ({ uuid, detail, heat: heat[uuid] ? [heat[uuid]] : [] })),
    };
}

const states = ["tiering", "tiering", "tiering", "settling", "observing", "paused", "off", "waiting"] as const;

export function manyVms(count = 200): Host {
    const made = host(Array.from({ length: count }, (_, i) => {
        const memory = [2, 4, 8, 16, 32, 64][i * 7 % 6]! * gibibyte;
        const state = states[i * 5 % states.length]!;
        const fast = memory * (0.1 + (i * 37 % 50) / 100);
        return domain(i + 1, `vm-${String(i + 1).padStart(3, "0")}`, {
            stateName: state,
            needsAttention: state === "waiting",
            ...(state === "waiting" ? { reason: "kvm_ept_sample is not loaded; load it with: modprobe kvm_ept_sample" } : {}),
            memoryBytes: memory,
            budgetBytes: memory * 0.5,
            fastBytes: fast,
            slowBytes: (memory - fast) * 0.9,
            hotBytes: memory * 0.3,
            hotFastBytes: memory * 0.28,
        });
    }));
    return {
        ...made,
        status: {
            ...made.status,
            poolBytes: made.status.poolBytes * 12,
            tiers: made.status.tiers.map(tier => ({ ...tier, totalBytes: tier.totalBytes * 12, freeBytes: tier.freeBytes * 3 })),
        },
    };
}

export function longNames(): Host {
    const long = "production-database-cluster-replica-".repeat(6);
    return host([
        domain(1, long),
        domain(2, "<b>no & markup</b> \"quoted\" 日本語", {
            needsAttention: true,
            problems: [{ attribute: "dram", value: "5GB", message: "'5GB' has an unknown unit 'GB': use KiB, MiB, GiB or TiB" }],
        }),
        domain(3, "a".repeat(255)),
    ]);
}

