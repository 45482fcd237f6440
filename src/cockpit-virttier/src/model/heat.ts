// SPDX-License-Identifier: Apache-2.0
import type { DomainHeat } from "../agent/answers";

/** A heat picture that can be looked into: rows of guest memory, columns of time. */
export interface HeatPicture {
    columns: number;
    rows: number;
    columnSeconds: number;
    rowBytes: number;
    first: Date;
    addresses: readonly number[];
    /** Column after column. */
    cells: Uint8Array;
}

/** The part of a picture that is looked at, in columns and rows. */
export interface View {
    left: number;
    top: number;
    width: number;
    height: number;
}

export interface Cell {
    column: number;
    row: number;
}

/** Throws when the cells are no whole columns. */
export function readHeat(heat: DomainHeat): HeatPicture {
    const text = atob(heat.cells);
    const rows = heat.addresses.length;
    if (rows === 0 || text.length % rows !== 0)
        throw new Error(`${text.length} cells are no whole columns of ${rows} rows`);
    return {
        columns: text.length / rows,
        rows,
        columnSeconds: heat.columnSeconds,
        rowBytes: heat.rowBytes,
        first: new Date(heat.first),
        addresses: heat.addresses,
        cells: Uint8Array.from(text, character => character.charCodeAt(0)),
    };
}

/** The share of a cell's memory that a harvest found accessed, on average; undefined where nobody looked. */
export function shareAt(picture: HeatPicture, { column, row }: Cell): number | undefined {
    const value = picture.cells[column * picture.rows + row] ?? 0;
    return value === 0 ? undefined : (value - 1) / 254;
}

/** When a column began. */
export function timeOf(picture: HeatPicture, column: number): Date {
    return new Date(picture.first.getTime() + column * picture.columnSeconds * 1000);
}

export function wholeView(picture: HeatPicture): View {
    return { left: 0, top: 0, width: Math.max(1, picture.columns), height: picture.rows };
}

/** The cell under a point, given in shares (0..1) of the view. */
export function cellAt(picture: HeatPicture, view: View, x: number, y: number): Cell {
    return {
        column: clamp(Math.floor(view.left + x * view.width), 0, picture.columns - 1),
        row: clamp(Math.floor(view.top + y * view.height), 0, picture.rows - 1),
    };
}

/** Looks closer (factor above 1) or from further away, with the point (shares of the view) staying where it is. */
export function zoom(picture: HeatPicture, view: View, factor: number, x: number, y: number): View {
    const whole = wholeView(picture);
    const width = clamp(view.width / factor, Math.min(4, whole.width), whole.width);
    const height = clamp(view.height / factor, Math.min(4, whole.height), whole.height);
    return within(whole, {
        left: view.left + x * (view.width - width),
        top: view.top + y * (view.height - height),
        width,
        height,
    });
}

/** Moves the view by so many columns and rows, as far as there are any. */
export function pan(picture: HeatPicture, view: View, columns: number, rows: number): View {
    return within(wholeView(picture), { ...view, left: view.left + columns, top: view.top + rows });
}

/** Moves the view no further than needed for a cell to be seen. */
export function reveal(picture: HeatPicture, view: View, { column, row }: Cell): View {
    const left = clamp(view.left, column + 1 - view.width, column);
    const top = clamp(view.top, row + 1 - view.height, row);
    return within(wholeView(picture), { ...view, left, top });
}

function within(whole: View, view: View): View {
    return {
        ...view,
        left: clamp(view.left, 0, whole.width - view.width),
        top: clamp(view.top, 0, whole.height - view.height),
    };
}

/** Rows before which the guest's memory has a hole. */
export function holes(picture: HeatPicture): number[] {
    return picture.addresses.flatMap((address, row) =>
        row > 0 && address - picture.addresses[row - 1]! > picture.rowBytes ? [row] : []);
}

/** A picture in words: means of at most so many rows and columns. */
export interface HeatTable {
    times: Date[];
    rows: { address: number; shares: (number | undefined)[] }[];
}

export function heatTable(picture: HeatPicture, mostRows: number, mostColumns: number): HeatTable {
    const columnStep = Math.max(1, Math.ceil(picture.columns / mostColumns));
    const rowStep = Math.max(1, Math.ceil(picture.rows / mostRows));
    const columns = steps(picture.columns, columnStep);
    return {
        times: columns.map(column => timeOf(picture, column)),
        rows: steps(picture.rows, rowStep).map(row => ({
            address: picture.addresses[row]!,
            shares: columns.map(column => mean(picture, column, columnStep, row, rowStep)),
        })),
    };
}

function mean(picture: HeatPicture, column: number, columnStep: number, row: number, rowStep: number): number | undefined {
    let sum = 0;
    let count = 0;
    for (let c = column; c < Math.min(picture.columns, column + columnStep); c++) {
        for (let r = row; r < Math.min(picture.rows, row + rowStep); r++) {
            const share = shareAt(picture, { column: c, row: r });
            if (share !== undefined) {
                sum += share;
                count++;
            }
        }
    }
    return count === 0 ? undefined : sum / count;
}

function steps(end: number, step: number): number[] {
    return Array.from({ length: Math.ceil(end / step) }, (_, i) => i * step);
}

function clamp(value: number, least: number, most: number): number {
    return Math.min(most, Math.max(least, value));
}

type Colour = readonly [number, number, number];

// From what nobody touches to what everybody does; even in brightness, so that it reads without telling colours apart.
const lightScale: readonly Colour[] = [
    [238, 242, 246], [198, 219, 239], [140, 172, 214], [136, 115, 186], [150, 58, 140], [122, 12, 70], [60, 0, 20],
];
const darkScale: readonly Colour[] = [
    [30, 32, 38], [48, 44, 92], [100, 38, 128], [168, 48, 112], [226, 92, 70], [250, 168, 66], [252, 246, 180],
];

/** The colour of a share. Small shares, which most are, are spread out: it goes by the share's root. */
export function colourOf(share: number, isDark: boolean): Colour {
    const scale = isDark ? darkScale : lightScale;
    const place = Math.sqrt(clamp(share, 0, 1)) * (scale.length - 1);
    const low = scale[Math.min(scale.length - 2, Math.floor(place))]!;
    const high = scale[Math.min(scale.length - 1, Math.floor(place) + 1)]!;
    const part = place - Math.min(scale.length - 2, Math.floor(place));
    return [0, 1, 2].map(i => Math.round(low[i]! + (high[i]! - low[i]!) * part)) as unknown as Colour;
}

/** One dot a cell, row after row: red, green, blue, alpha. Where nobody looked it is clear. */
export function paint(picture: HeatPicture, isDark: boolean): Uint8ClampedArray<ArrayBuffer> {
    const colours = Array.from({ length: 256 }, (_, value) => colourOf((value - 1) / 254, isDark));
    const dots = new Uint8ClampedArray(picture.columns * picture.rows * 4);
    for (let column = 0; column < picture.columns; column++) {
        for (let row = 0; row < picture.rows; row++) {
            const value = picture.cells[column * picture.rows + row]!;
            if (value > 0)
                dots.set([...colours[value]!, 255], (row * picture.columns + column) * 4);
        }
    }
    return dots;
}
