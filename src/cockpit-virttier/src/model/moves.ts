// SPDX-License-Identifier: Apache-2.0
import type { MovedBytes } from "../agent/answers";

/** What was moved in a column of time. */
export interface Moved {
    /** Its end, in seconds since 1970. */
    time: number;
    upBytes: number;
    downBytes: number;
}

/** What was moved in the last so many seconds, the oldest first, in the narrowest columns that reach so far back. */
export function lastMoves(
    moves: readonly MovedBytes[], seconds: number,
): { columnSeconds: number; columns: Moved[] } | undefined {
    const found = moves.find(one => one.columnSeconds * one.upBytes.length >= seconds) ?? moves.at(-1);
    if (!found)
        return undefined;
    const { columnSeconds, upBytes, downBytes } = found;
    const first = new Date(found.first).getTime() / 1000;
    const columns = upBytes.map((up, i) =>
        ({ time: first + (i + 1) * columnSeconds, upBytes: up, downBytes: downBytes[i] ?? 0 }));
    return { columnSeconds, columns: columns.slice(-Math.ceil(seconds / columnSeconds)) };
}
