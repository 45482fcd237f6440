// SPDX-License-Identifier: Apache-2.0
// Small things in PatternFly's clothes.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { size } from "../model/units";

export type Tone = "info" | "success" | "warning" | "danger";

export function Alert({ tone, title, children }: { tone: Tone; title: string; children?: ComponentChildren }) {
    return (
        <div class={`pf-v6-c-alert pf-m-inline pf-m-${tone}`} role={tone === "danger" ? "alert" : "status"}>
            <p class="pf-v6-c-alert__title vt-alert-title">
                <span class="vt-hidden">{`${toneNames[tone]}: `}</span>
                {title}
            </p>
            {children && <div class="pf-v6-c-alert__description">{children}</div>}
        </div>
    );
}

const toneNames: Record<Tone, string> = { info: "Note", success: "Done", warning: "Warning", danger: "Error" };

export function Label({ colour, children }: {
    colour?: "green" | "blue" | "orange" | "red" | "grey";
    children: ComponentChildren;
}) {
    return (
        <span class={`pf-v6-c-label pf-m-compact${colour && colour !== "grey" ? ` pf-m-${colour}` : ""}`}>
            <span class="pf-v6-c-label__content"><span class="pf-v6-c-label__text">{children}</span></span>
        </span>
    );
}

export function Card({ title, note, actions, wide, children }: {
    title: string;
    note?: string | undefined;
    actions?: ComponentChildren;
    wide?: boolean;
    children: ComponentChildren;
}) {
    const id = useId();
    return (
        <section class={`pf-v6-c-card${wide ? " vt-wide" : ""}`} aria-labelledby={id}>
            <div class="vt-card-head">
                <h2 class="pf-v6-c-title pf-m-lg" id={id}>{title}</h2>
                {actions}
            </div>
            {note && <p class="vt-note vt-card-note">{note}</p>}
            <div class="pf-v6-c-card__body">{children}</div>
        </section>
    );
}

/** What a picture shows, in words: for readers of screens, and for whoever likes figures. */
export function AsTable({ children }: { children: ComponentChildren }) {
    return (
        <details class="vt-as-table">
            <summary>As a table</summary>
            {children}
        </details>
    );
}

export function Table({ caption, heads, rows }: { caption: string; heads: string[]; rows: ComponentChildren[][] }) {
    return (
        <div class="vt-scroll" tabIndex={0} role="region" aria-label={caption}>
            <table class="pf-v6-c-table pf-m-compact">
                <caption class="vt-hidden">{caption}</caption>
                <thead class="pf-v6-c-table__thead">
                    <tr class="pf-v6-c-table__tr">
                        {heads.map(head => <th key={head} class="pf-v6-c-table__th" scope="col">{head}</th>)}
                    </tr>
                </thead>
                <tbody class="pf-v6-c-table__tbody">
                    {rows.map((cells, row) => (
                        <tr key={row} class="pf-v6-c-table__tr">
                            {cells.map((cell, i) => i === 0
                                ? <th key={i} class="pf-v6-c-table__td" scope="row">{cell}</th>
                                : <td key={i} class="pf-v6-c-table__td">{cell}</td>)}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

export function Button({ kind = "secondary", disabled, onClick, children }: {
    kind?: "primary" | "secondary" | "link";
    disabled?: boolean;
    onClick: () => void;
    children: ComponentChildren;
}) {
    return (
        <button type="button" class={`pf-v6-c-button pf-m-${kind}`} disabled={disabled} onClick={onClick}>
            <span class="pf-v6-c-button__text">{children}</span>
        </button>
    );
}

/** Some choices of which one holds. */
export function Choice<T extends string | number>({ label, value, choices, onChange }: {
    label: string;
    value: T;
    choices: readonly (readonly [T, string])[];
    onChange: (value: T) => void;
}) {
    return (
        <div class="pf-v6-c-toggle-group pf-m-compact" role="group" aria-label={label}>
            {choices.map(([choice, text]) => (
                <div key={choice} class="pf-v6-c-toggle-group__item">
                    <button type="button" class={`pf-v6-c-toggle-group__button${choice === value ? " pf-m-selected" : ""}`}
                        aria-pressed={choice === value} onClick={() => onChange(choice)}>
                        <span class="pf-v6-c-toggle-group__text">{text}</span>
                    </button>
                </div>
            ))}
        </div>
    );
}

/** Asks before something is done. Esc, and a button, leave it. */
export function Dialog({ title, onClose, children, footer }: {
    title: string;
    onClose: () => void;
    children: ComponentChildren;
    footer: ComponentChildren;
}) {
    const id = useId();
    const dialog = useRef<HTMLDialogElement>(null);
    useEffect(() => {
        dialog.current?.showModal();
    }, []);
    return (
        <dialog ref={dialog} class="pf-v6-c-modal-box pf-m-sm vt-dialog" aria-labelledby={id} onClose={onClose}>
            <header class="pf-v6-c-modal-box__header">
                <h1 class="pf-v6-c-modal-box__title" id={id}>
                    <span class="pf-v6-c-modal-box__title-text">{title}</span>
                </h1>
            </header>
            <div class="pf-v6-c-modal-box__body">{children}</div>
            <footer class="pf-v6-c-modal-box__footer">{footer}</footer>
        </dialog>
    );
}

/** A word or two with what they stand for. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }) {
    return (
        <dl class="vt-facts">
            {facts.map(([term, value]) => (
                <div key={term}>
                    <dt>{term}</dt>
                    <dd>{value}</dd>
                </div>
            ))}
        </dl>
    );
}

/** A size in a table, not broken into lines. */
export function Size({ bytes }: { bytes: number }) {
    return <span class="vt-quantity">{size(bytes)}</span>;
}
