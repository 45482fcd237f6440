// SPDX-License-Identifier: Apache-2.0
import type { AgentStatus, DoctorReport, DomainDetail, DomainHeat } from "./answers";
import { NoAnswer, type Source } from "./source";

/** What `virttier report` puts into its page. */
export interface Report {
    host: string;
    made: string;
    status: AgentStatus;
    doctor: DoctorReport;
    domains: { uuid: string; detail: DomainDetail; heat: DomainHeat[] }[];
}

/** A host as it was when a report of it was made. */
export class ReportSource implements Source {
    readonly isLive = false;
    readonly rights = undefined;
    readonly host: string;
    readonly made: Date;

    constructor(private readonly report: Report) {
        this.host = report.host;
        this.made = new Date(report.made);
    }

    async status(): Promise<AgentStatus> {
        return this.report.status;
    }

    async detail(uuid: string): Promise<DomainDetail> {
        return this.find(uuid).detail;
    }

    /** The picture of the shortest time that is long enough. */
    async heat(uuid: string, seconds: number): Promise<DomainHeat | null> {
        const pictures = this.find(uuid).heat;
        return pictures.find(heat => lengthOf(heat) >= seconds) ?? pictures.at(-1) ?? null;
    }

    async doctor(): Promise<DoctorReport> {
        return this.report.doctor;
    }

    async change(): Promise<string> {
        throw new NoAnswer("denied", "A report changes nothing.");
    }

    private find(uuid: string) {
        const found = this.report.domains.find(domain => domain.uuid === uuid);
        if (!found)
            throw new NoAnswer("gone", `This report has no VM with the UUID ${uuid}.`);
        return found;
    }
}

function lengthOf(heat: DomainHeat): number {
    return heat.columnSeconds * (atob(heat.cells).length / heat.addresses.length);
}
