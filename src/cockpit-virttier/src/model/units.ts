// SPDX-License-Identifier: Apache-2.0

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Such as "96 MiB" or "1.5 GiB"; one decimal place, left out when it is zero: as the tool shows sizes. */
export function size(bytes: number): string {
    let value = bytes;
    let unit = 0;
    while (Math.abs(value) >= 1024 && unit < units.length - 1) {
        value /= 1024;
        unit++;
    }
    return `${decimal(value)} ${units[unit]}`;
}

/** A size as settings take it, without loss: the largest unit that divides it. */
export function exactSize(bytes: number): string {
    for (let unit = 4; unit > 0; unit--) {
        const one = 1024 ** unit;
        if (bytes >= one && bytes % one === 0)
            return `${bytes / one}${units[unit]}`;
    }
    return `${Math.ceil(bytes / 1024)}KiB`;
}

/** Such as "9.3 %"; what is small but not zero is not shown as zero. */
export function percent(share: number): string {
    return share > 0 && share < 0.0005 ? "< 0.1 %" : `${decimal(share * 100)} %`;
}

/** Such as "0x1 0000 0000": a guest address in groups of four digits. */
export function address(value: number): string {
    const digits = value.toString(16).toUpperCase();
    const groups = [];
    for (let end = digits.length; end > 0; end -= 4)
        groups.unshift(digits.slice(Math.max(0, end - 4), end));
    return `0x${groups.join("\u202f")}`;
}

/** The time of day, of the reader. */
export function clock(time: Date, seconds = true): string {
    const parts = [time.getHours(), time.getMinutes(), ...(seconds ? [time.getSeconds()] : [])];
    return parts.map(part => String(part).padStart(2, "0")).join(":");
}

/** Day and time of day, of the reader. */
export function dayAndTime(time: Date): string {
    const day = [time.getFullYear(), time.getMonth() + 1, time.getDate()].map(part => String(part).padStart(2, "0"));
    return `${day.join("-")} ${clock(time)}`;
}

function decimal(value: number): string {
    const text = value.toFixed(1);
    return text.endsWith(".0") ? text.slice(0, -2) : text;
}
