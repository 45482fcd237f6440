// SPDX-License-Identifier: Apache-2.0
import type { AgentStatus, DoctorReport, DomainDetail, DomainHeat } from "./answers";
import { NoAnswer, type Rights, type Source } from "./source";

const busName = "org.virttier.Agent1";
const path = "/org/virttier/Agent1";

/** The running agent, asked over D-Bus by Cockpit's bridge; what changes something is the tool's to do. */
export class CockpitSource implements Source {
    readonly isLive = true;
    readonly host = cockpit.transport.host;
    readonly made = undefined;
    readonly rights: Rights;
    private client: CockpitDBusClient | undefined;

    constructor() {
        const permission = cockpit.permission({ admin: true });
        // The bridge that calls is another one then.
        permission.addEventListener("changed", () => this.disconnect());
        this.rights = {
            get areGiven() {
                return permission.allowed === true;
            },
            onChange(listener) {
                permission.addEventListener("changed", listener);
                return () => permission.removeEventListener("changed", listener);
            },
        };
    }

    async status(): Promise<AgentStatus> {
        return JSON.parse(await this.ask("GetStatus", "", [])) as AgentStatus;
    }

    async detail(uuid: string): Promise<DomainDetail> {
        return JSON.parse(await this.ask("GetDetail", "s", [uuid])) as DomainDetail;
    }

    async heat(uuid: string, seconds: number): Promise<DomainHeat | null> {
        try {
            return JSON.parse(await this.ask("GetHeat", "su", [uuid, seconds])) as DomainHeat;
        } catch (error) {
            if (error instanceof NoAnswer && error.message.startsWith(`${busName}.Error.NoHeat`))
                return null;
            throw error;
        }
    }

    async doctor(): Promise<DoctorReport> {
        // Its exit status tells how bad it is; what it found is printed all the same.
        const text = await new Promise<string>((resolve, reject) => {
            cockpit.spawn(["virttier", "doctor", "--json"], { superuser: "try", err: "ignore" }).then(
                resolve,
                (error, data) => data ? resolve(data) : reject(new NoAnswer("other",
                    error.problem === "not-found" ? "There is no program virttier on this host." : wordsOf(error))));
        });
        return JSON.parse(text) as DoctorReport;
    }

    change(command: readonly string[]): Promise<string> {
        return new Promise((resolve, reject) => {
            cockpit.spawn(command, { superuser: "require", err: "message" }).then(
                resolve,
                error => reject(new NoAnswer("other", wordsOf(error))));
        });
    }

    private ask(method: string, type: string, args: unknown[]): Promise<string> {
        this.client ??= cockpit.dbus(busName, { bus: "system", superuser: "try" });
        const client = this.client;
        return new Promise((resolve, reject) => {
            client.call(path, busName, method, args, { type }).then(
                ([text]) => resolve(text),
                error => {
                    const failure = explain(error);
                    // A client whose service has gone stays closed.
                    if (failure.kind !== "gone" && this.client === client)
                        this.disconnect();
                    reject(failure);
                });
        });
    }

    private disconnect(): void {
        this.client?.close();
        this.client = undefined;
    }
}

function wordsOf(error: CockpitError): string {
    return error.message?.trim() || error.problem || error.name || "it failed without a word";
}

/** What a failed call means. */
export function explain(error: CockpitError): NoAnswer {
    const name = error.name ?? "";
    if (name.startsWith(`${busName}.Error.`))
        return new NoAnswer("gone", name.endsWith(".NoHeat") ? `${name}: ${wordsOf(error)}` : wordsOf(error));
    if (name.endsWith(".AccessDenied") || error.problem === "access-denied")
        return new NoAnswer("denied", "Only administrators and members of the group libvirt may ask the agent.");
    if (name.endsWith(".ServiceUnknown") || name.endsWith(".NameHasNoOwner")
        || error.problem === "not-found" || error.problem === "disconnected")
        return new NoAnswer("down", "VMs stay as they are while it does not run.", "systemctl start virttier");
    return new NoAnswer("other", `The agent cannot be reached: ${wordsOf(error)}`);
}
