// SPDX-License-Identifier: Apache-2.0
import type { AgentStatus, DoctorReport, DomainDetail, DomainHeat } from "./answers";

/** Where what is shown comes from: a running agent, or what a report was made with. */
export interface Source {
    /** Whether asking again may bring something new. */
    readonly isLive: boolean;

    /** The host's name. */
    readonly host: string;

    /** When what it tells was so; undefined: now. */
    readonly made: Date | undefined;

    status(): Promise<AgentStatus>;

    detail(uuid: string): Promise<DomainDetail>;

    /** Null before the domain was sampled. */
    heat(uuid: string, seconds: number): Promise<DomainHeat | null>;

    doctor(): Promise<DoctorReport>;

    /** Undefined where nothing can be changed at all; else it tells whether the user may change settings now. */
    readonly rights: Rights | undefined;

    /** Carries out a change of settings; what was said of it. */
    change(command: readonly string[]): Promise<string>;
}

/** Whether the user is an administrator now. */
export interface Rights {
    readonly areGiven: boolean;
    onChange(listener: () => void): () => void;
}

/** Why the agent gave no answer, with what to do. */
export class NoAnswer extends Error {
    constructor(readonly kind: "down" | "denied" | "gone" | "other", message: string, readonly mend?: string) {
        super(message);
    }
}
