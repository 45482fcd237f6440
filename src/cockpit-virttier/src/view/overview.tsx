// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import type { AgentStatus, DoctorReport, Domain, Finding, StateName, Tier } from "../agent/answers";
import { pageBytes } from "../agent/answers";
import { type Column, type Order, reorder, select } from "../model/domains";
import { percent, size } from "../model/units";
import { Alert, Card, Label } from "./parts";
import type { Answer } from "./poll";

export function Overview({ status, doctor, onLookAgain }: {
    status: AgentStatus;
    doctor: Answer<DoctorReport>;
    onLookAgain: (() => void) | undefined;
}) {
    return (
        <>
            {status.hung.map(does => (
                <Alert key={does} tone="danger" title={`The agent hangs: ${does}`}>
                    systemd restarts it unless it goes on.
                </Alert>
            ))}
            {!status.libvirt.connected && (
                <Alert tone="danger" title="libvirt does not answer">{status.libvirt.problem}</Alert>
            )}
            <div class="vt-grid">
                {status.tiers.map(tier => <TierCard key={tier.name} tier={tier} status={status} />)}
            </div>
            <Domains domains={status.domains} note={status.tiers.length > 1 ? undefined : oneTierNote(status.rehomes)}
                isKnown={status.libvirt.connected} />
            <Findings doctor={doctor} onLookAgain={onLookAgain} />
        </>
    );
}

function TierCard({ tier, status }: { tier: Tier; status: AgentStatus }) {
    const isFast = tier.name === "fast";
    const held = status.domains.reduce((sum, domain) => sum + (isFast ? domain.fastBytes : domain.slowBytes), 0);
    const budgets = status.domains
        .filter(domain => domain.stateName !== "off")
        .reduce((sum, domain) => sum + domain.budgetBytes, 0);
    const others = Math.max(0, tier.totalBytes - tier.freeBytes - held);
    return (
        <Card title={isFast ? "DRAM" : "Slow memory"}
            note={`${size(tier.totalBytes)} on NUMA ${tier.nodes.length === 1 ? "node" : "nodes"} ${tier.nodes.join(", ")}`}>
            <Bar whole={tier.totalBytes} mark={isFast ? status.poolBytes : undefined}
                parts={[[held, isFast ? "vt-dram" : "vt-slow"], [others, "vt-others"]]} />
            <dl class="vt-legend">
                <div><dt class={isFast ? "vt-key vt-dram" : "vt-key vt-slow"}>held by VMs</dt><dd>{size(held)}</dd></div>
                <div><dt class="vt-key vt-others">other use</dt><dd>{size(others)}</dd></div>
                <div><dt class="vt-key">free</dt><dd>{size(tier.freeBytes)}</dd></div>
                {isFast && <div><dt class="vt-key vt-mark">pool for budgets</dt><dd>{size(status.poolBytes)}</dd></div>}
                {isFast && <div><dt>budgets, together</dt><dd>{size(budgets)}</dd></div>}
            </dl>
        </Card>
    );
}

/** Amounts of a whole side by side, with a mark across. What it shows stands beside it in words. */
export function Bar({ whole, parts, mark }: {
    whole: number;
    parts: readonly (readonly [number, string])[];
    mark?: number | undefined;
}) {
    const width = (bytes: number) => `${Math.min(100, whole > 0 ? bytes / whole * 100 : 0).toFixed(2)}%`;
    return (
        <div class="vt-bar" aria-hidden="true">
            {parts.map(([bytes, kind]) => <div key={kind} class={kind} style={{ width: width(bytes) }} />)}
            {mark !== undefined && mark > 0 && <div class="vt-bar-mark" style={{ insetInlineStart: width(mark) }} />}
        </div>
    );
}

const columns: readonly (readonly [Column, string])[] = [
    ["name", "VM"], ["state", "State"], ["memory", "Memory"], ["fast", "In DRAM, of its budget"], ["slow", "Slow"],
    ["hot", "Hot"], ["hotFast", "Hot in DRAM"], ["moved", "Moved up / down"],
];

function oneTierNote(rehomes: boolean) {
    return "This host has one memory tier, so "
        + (rehomes ? "hot pages only follow their VMs between sockets." : "VMs are only watched: nothing is moved.");
}

function Domains({ domains, note, isKnown }: {
    domains: readonly Domain[];
    note: string | undefined;
    isKnown: boolean;
}) {
    const [text, setText] = useState("");
    const [order, setOrder] = useState<Order>({ column: "name", isDescending: false });
    const shown = select(domains, text, order);
    const needy = domains.filter(domain => domain.needsAttention).length;
    if (domains.length === 0)
        return (
            <Card title="Virtual machines" wide>
                <div class="vt-empty">
                    <p>{isKnown ? "No VM is running." : "Whether a VM runs is not known while libvirt does not answer."}</p>
                </div>
            </Card>
        );
    return (
        <Card title="Virtual machines" wide
            note={note}
            actions={
                <div class="vt-actions">
                    <span class="vt-note" role="status">
                        {shown.length === domains.length ? `${domains.length} running` : `${shown.length} of ${domains.length}`}
                        {needy > 0 && `, ${needy} need${needy === 1 ? "s" : ""} attention`}
                    </span>
                    <span class="pf-v6-c-form-control vt-filter">
                        <input type="search" placeholder="Filter by name" aria-label="Filter by name" value={text}
                            onInput={event => setText(event.currentTarget.value)} />
                    </span>
                </div>
            }>
            <div class="vt-scroll" tabIndex={0} role="region" aria-label="Virtual machines">
                <table class="pf-v6-c-table pf-m-compact vt-domains">
                    <thead class="pf-v6-c-table__thead">
                        <tr class="pf-v6-c-table__tr">
                            {columns.map(([column, head]) => (
                                <th key={column} scope="col" class={`pf-v6-c-table__th${figures.has(column) ? " vt-figure" : ""}`}
                                    aria-sort={order.column !== column ? "none"
                                        : order.isDescending ? "descending" : "ascending"}>
                                    <button type="button" class="vt-sort" onClick={() => setOrder(reorder(order, column))}>
                                        {head}
                                        <span aria-hidden="true" class="vt-arrow">
                                            {order.column !== column ? "" : order.isDescending ? "↓" : "↑"}
                                        </span>
                                    </button>
                                </th>
                            ))}
                        </tr>
                    </thead>
                    <tbody class="pf-v6-c-table__tbody">
                        {shown.map(domain => <DomainRow key={domain.uuid} domain={domain} />)}
                    </tbody>
                </table>
                {shown.length === 0 && <p class="vt-empty">No running VM has “{text.trim()}” in its name.</p>}
            </div>
            <p class="vt-note vt-bar-legend">
                <span class="vt-key vt-dram">in DRAM</span> <span class="vt-key vt-slow">on slow memory</span>{" "}
                <span class="vt-key vt-mark">budget</span> A bar is the VM’s whole memory.
            </p>
        </Card>
    );
}

const figures = new Set<Column>(["memory", "slow", "hot", "hotFast", "moved"]);

function DomainRow({ domain: d }: { domain: Domain }) {
    const [problem] = d.problems;
    const complaint = problem ? `${problem.attribute}="${problem.value}": ${problem.message}` : d.reason;
    return (
        <tr class="pf-v6-c-table__tr">
            <th class="pf-v6-c-table__td vt-name" scope="row">
                <a href={`#/vm/${d.uuid}`} title={d.name}>{d.name}</a>
                {complaint && <p class={d.needsAttention ? "vt-complaint" : "vt-note"}>{complaint}</p>}
            </th>
            <td class="pf-v6-c-table__td"><State name={d.stateName} needsAttention={d.needsAttention} /></td>
            <td class="pf-v6-c-table__td vt-figure">{size(d.memoryBytes)}</td>
            <td class="pf-v6-c-table__td vt-bar-cell">
                <DomainBar domain={d} />
                <span>{d.stateName === "off" ? "left alone" : `${size(d.fastBytes)} of ${size(d.budgetBytes)}`}</span>
            </td>
            <td class="pf-v6-c-table__td vt-figure">{size(d.slowBytes)}</td>
            <td class="pf-v6-c-table__td vt-figure">{size(d.hotBytes)}</td>
            <td class="pf-v6-c-table__td vt-figure">{d.hotBytes > 0 ? percent(d.hotFastBytes / d.hotBytes) : "–"}</td>
            <td class="pf-v6-c-table__td vt-figure">
                {size(d.promotedPages * pageBytes)} / {size(d.demotedPages * pageBytes)}
            </td>
        </tr>
    );
}

export function DomainBar({ domain: d }: { domain: Domain }) {
    return (
        <Bar whole={d.memoryBytes} mark={d.stateName === "off" ? undefined : d.budgetBytes}
            parts={[[d.fastBytes, "vt-dram"], [d.slowBytes, "vt-slow"]]} />
    );
}

export function State({ name, needsAttention }: { name: StateName; needsAttention: boolean }) {
    const colours = {
        tiering: "green", following: "green", observing: "blue", waiting: "red", paused: "grey", off: "grey",
        attaching: "orange", settling: "orange",
    } as const;
    return <Label colour={needsAttention && name !== "waiting" ? "orange" : colours[name]}>{name}</Label>;
}

export function Findings({ doctor, onLookAgain }: { doctor: Answer<DoctorReport>; onLookAgain: (() => void) | undefined }) {
    const findings = doctor.value?.findings ?? [];
    const open = findings.filter(finding => finding.severity !== "Ok");
    const fine = findings.filter(finding => finding.severity === "Ok");
    return (
        <Card title="This host" wide
            actions={onLookAgain && (
                <button type="button" class="pf-v6-c-button pf-m-link" onClick={onLookAgain}>Check again</button>
            )}>
            {doctor.error && <Alert tone="warning" title="virttier doctor could not look">{doctor.error.message}</Alert>}
            {!doctor.error && !doctor.value && <p class="vt-note" role="status">Looking…</p>}
            {doctor.value && open.length === 0 && <p><Label colour="green">ready</Label> Nothing is to be mended.</p>}
            {open.length > 0 && (
                <ul class="vt-findings">{open.map((finding, i) => <FindingItem key={i} finding={finding} />)}</ul>
            )}
            {fine.length > 0 && (
                <details class="vt-as-table">
                    <summary>{fine.length} {fine.length === 1 ? "check is" : "checks are"} fine</summary>
                    <ul class="vt-findings">{fine.map((finding, i) => <FindingItem key={i} finding={finding} />)}</ul>
                </details>
            )}
        </Card>
    );
}

const severities = {
    Ok: ["green", "ok"], Note: ["blue", "note"], Warning: ["orange", "warning"], Error: ["red", "error"],
} as const;

function FindingItem({ finding }: { finding: Finding }) {
    const [colour, word] = severities[finding.severity];
    return (
        <li>
            <Label colour={colour}>{word}</Label>
            <div>
                <p><strong>{finding.check}</strong> {finding.text}</p>
                {finding.mend && (
                    <p class="vt-mend">
                        {finding.severity === "Note" ? "to change it" : "mend it with"}: <code>{finding.mend}</code>
                    </p>
                )}
            </div>
        </li>
    );
}
