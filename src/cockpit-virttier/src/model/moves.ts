// SPDX-License-Identifier: Apache-2.0
import { type AgentStatus, pageBytes } from "../agent/answers";

/** What was moved in a while. */
export interface Moved {
    /** Its end, in seconds since 1970. */
    time: number;
    upBytes: number;
    downBytes: number;
}

interface Last {
    up: number;
    down: number;
}

/** Remembers what was moved of each VM while somebody watched. The agent itself has sums only. */
export class MoveLog {
    private readonly moved = new Map<string, Moved[]>();
    private readonly last = new Map<string, Last>();

    constructor(private readonly slotSeconds = 10, private readonly slots = 180) {
    }

    /** Takes in a status as of now. */
    add(status: AgentStatus, now: number): void {
        const running = new Set(status.domains.map(domain => domain.uuid));
        for (const gone of [...this.last.keys()].filter(uuid => !running.has(uuid))) {
            this.last.delete(gone);
            this.moved.delete(gone);
        }
        for (const { uuid, promotedPages: up, demotedPages: down } of status.domains) {
            const last = this.last.get(uuid);
            this.last.set(uuid, { up, down });
            // What was moved before the first look is of no known time; sums begin anew when a sampler is attached anew.
            const isAnew = last !== undefined && (up < last.up || down < last.down);
            const before = last === undefined ? { up, down } : isAnew ? { up: 0, down: 0 } : last;
            this.note(uuid, now, (up - before.up) * pageBytes, (down - before.down) * pageBytes);
        }
    }

    /** What was moved of a VM, slot after slot, the oldest first. */
    of(uuid: string): readonly Moved[] {
        return this.moved.get(uuid) ?? [];
    }

    private note(uuid: string, now: number, upBytes: number, downBytes: number): void {
        const slots = this.moved.get(uuid) ?? [];
        this.moved.set(uuid, slots);
        const time = (Math.floor(now / this.slotSeconds) + 1) * this.slotSeconds;
        const slot = slots.at(-1);
        if (slot?.time === time) {
            slot.upBytes += upBytes;
            slot.downBytes += downBytes;
        } else {
            slots.push({ time, upBytes, downBytes });
        }
        slots.splice(0, slots.length - this.slots);
    }
}
