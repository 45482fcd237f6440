// SPDX-License-Identifier: Apache-2.0
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { DomainHeat } from "../agent/answers";
import {
    type Cell, cellAt, colourOf, heatTable, type HeatPicture, holes, paint, pan, readHeat, reveal, shareAt, timeOf, type View,
    wholeView, zoom,
} from "../model/heat";
import { address, clock, dayAndTime, percent, size } from "../model/units";
import { AsTable, Button, Card, Choice, Table } from "./parts";
import { colour, useDark } from "./theme";

const lasts = [[600, "10 min"], [9600, "2.6 h"], [96000, "26 h"]] as const;

/** Axes' widths in CSS pixels. */
const left = 120;
const bottom = 24;
const height = 320;

export function HeatCard({ name, heat, seconds, onSeconds, error }: {
    name: string;
    /** Undefined before the first answer, null where there is none. */
    heat: DomainHeat | null | undefined;
    seconds: number;
    onSeconds: (seconds: number) => void;
    error: string | undefined;
}) {
    const picture = useMemo(() => heat ? readHeat(heat) : undefined, [heat]);
    return (
        <Card title="Heat map" wide
            note={"Where in its memory the VM’s accesses were, and when. A hot set that moves is a diagonal, a program that ends "
                + "a band that ends."}
            actions={<Choice label="How far back" value={seconds} choices={lasts} onChange={onSeconds} />}>
            {picture && picture.columns > 0
                ? <HeatMap name={name} picture={picture} />
                : (
                    <p class="vt-empty">
                        {error ?? (heat === undefined ? "Asking the agent…" : "Nothing was seen of this VM in this time.")}
                    </p>
                )}
        </Card>
    );
}

function HeatMap({ name, picture }: { name: string; picture: HeatPicture }) {
    const isDark = useDark();
    const canvas = useRef<HTMLCanvasElement>(null);
    const [zoomed, setView] = useState<View>();
    const [cell, setCell] = useState<Cell>();
    const [width, setWidth] = useState(0);
    const drag = useRef<{ x: number; y: number; view: View } | undefined>(undefined);
    // What was zoomed into stays at its place as time goes on; the whole is the whole.
    const view = zoomed === undefined ? wholeView(picture) : pan(picture, zoomed, 0, 0);
    const image = useMemo(() => imageOf(picture, isDark), [picture, isDark]);

    useEffect(() => {
        const element = canvas.current!;
        const observer = new ResizeObserver(() => setWidth(element.clientWidth));
        observer.observe(element);
        return () => observer.disconnect();
    }, []);
    useEffect(() => {
        if (canvas.current && width > 0)
            draw(canvas.current, picture, image, view, cell, width);
    }, [picture, image, view.left, view.top, view.width, view.height, cell, width, isDark]);
    useEffect(() => {
        // Preact's own handlers of the wheel cannot keep the page from scrolling.
        const element = canvas.current!;
        const onWheel = (event: WheelEvent) => {
            if (!event.ctrlKey && !event.shiftKey)
                return;
            event.preventDefault();
            const { x, y } = place(element, event);
            const delta = event.deltaY || event.deltaX;
            setView(now => settle(picture, zoom(picture, now ?? wholeView(picture), delta < 0 ? 1.25 : 0.8, x, y)));
        };
        element.addEventListener("wheel", onWheel, { passive: false });
        return () => element.removeEventListener("wheel", onWheel);
    }, [picture]);

    const look = (next: View) => setView(settle(picture, next));
    const closer = (factor: number) => {
        const x = cell ? (cell.column + 0.5 - view.left) / view.width : 0.5;
        const y = cell ? (cell.row + 0.5 - view.top) / view.height : 0.5;
        look(zoom(picture, view, factor, x, y));
    };
    const goTo = (next: Cell) => {
        setCell(next);
        if (zoomed)
            look(reveal(picture, view, next));
    };
    const onKey = (event: KeyboardEvent) => {
        const step = event.shiftKey ? 10 : 1;
        const from = cell ?? cellAt(picture, view, 0.5, 0.5);
        const moves: Record<string, () => void> = {
            "ArrowLeft": () => goTo({ ...from, column: Math.max(0, from.column - step) }),
            "ArrowRight": () => goTo({ ...from, column: Math.min(picture.columns - 1, from.column + step) }),
            "ArrowUp": () => goTo({ ...from, row: Math.max(0, from.row - step) }),
            "ArrowDown": () => goTo({ ...from, row: Math.min(picture.rows - 1, from.row + step) }),
            "Home": () => goTo({ ...from, column: 0 }),
            "End": () => goTo({ ...from, column: picture.columns - 1 }),
            "+": () => closer(1.5),
            "=": () => closer(1.5),
            "-": () => closer(1 / 1.5),
            "0": () => setView(undefined),
            "Escape": () => setCell(undefined),
        };
        const move = moves[event.key];
        if (move && !event.ctrlKey && !event.metaKey && !event.altKey) {
            event.preventDefault();
            move();
        }
    };
    const shown = cell && cell.column < picture.columns && cell.row < picture.rows ? cell : undefined;
    return (
        <>
            <canvas ref={canvas} class="vt-heat" tabIndex={0} role="application" aria-roledescription="heat map"
                aria-label={`Heat map of ${name}. Arrow keys move over it, plus and minus zoom, zero shows all. A table follows.`}
                onKeyDown={onKey}
                onPointerDown={event => {
                    event.currentTarget.setPointerCapture(event.pointerId);
                    drag.current = { x: event.clientX, y: event.clientY, view };
                }}
                onPointerUp={() => {
                    drag.current = undefined;
                }}
                onPointerMove={event => {
                    const { x, y, isInside, dotsWide, dotsHigh } = place(event.currentTarget, event);
                    const from = drag.current;
                    if (from && zoomed)
                        look(pan(picture, from.view, (from.x - event.clientX) / dotsWide * view.width,
                            (from.y - event.clientY) / dotsHigh * view.height));
                    setCell(isInside ? cellAt(picture, view, x, y) : undefined);
                }}
                onPointerLeave={() => !drag.current && setCell(undefined)} />
            <div class="vt-heat-foot">
                <output class="vt-readout" aria-live="polite">
                    {shown ? describe(picture, shown) : "Point at the map, or use the arrow keys."}
                </output>
                <Scale isDark={isDark} />
                <span class="vt-actions">
                    <Button onClick={() => closer(1.5)}>Zoom in</Button>
                    <Button disabled={!zoomed} onClick={() => closer(1 / 1.5)}>Zoom out</Button>
                    <Button disabled={!zoomed} onClick={() => setView(undefined)}>Show all</Button>
                </span>
            </div>
            <p class="vt-note">
                A row is {size(picture.rowBytes)}, a column {columnTime(picture.columnSeconds)}.
                Ctrl or Shift with the wheel zooms. Where it is blank nobody looked: a VM that rests is looked at less often.
            </p>
            <AsTable><HeatTable name={name} picture={picture} /></AsTable>
        </>
    );
}

function HeatTable({ name, picture }: { name: string; picture: HeatPicture }) {
    const table = useMemo(() => heatTable(picture, 16, 8), [picture]);
    return (
        <Table caption={`Mean share of memory of ${name} found accessed, by guest address and time`}
            heads={["from address", ...table.times.map(time => picture.columnSeconds >= 600 ? dayAndTime(time) : clock(time))]}
            rows={table.rows.map(row => [
                <span class="vt-address">{address(row.address)}</span>,
                ...row.shares.map(share => share === undefined ? "not looked at" : percent(share)),
            ])} />
    );
}

function Scale({ isDark }: { isDark: boolean }) {
    const canvas = useRef<HTMLCanvasElement>(null);
    useEffect(() => {
        const context = canvas.current?.getContext("2d");
        for (let x = 0; context && x < 160; x++) {
            context.fillStyle = `rgb(${colourOf((x / 159) ** 2, isDark).join(" ")})`;
            context.fillRect(x, 0, 1, 10);
        }
    }, [isDark]);
    return (
        <span class="vt-scale">
            <span>0 %</span>
            <canvas ref={canvas} width={160} height={10} aria-hidden="true" />
            <span>100 % accessed in each harvest; middle: 25 %</span>
        </span>
    );
}

function columnTime(seconds: number): string {
    return seconds < 60 ? `${seconds} s` : `${seconds / 60} min`;
}

function describe(picture: HeatPicture, cell: Cell): string {
    const share = shareAt(picture, cell);
    const time = timeOf(picture, cell.column);
    return `${address(picture.addresses[cell.row]!)} (${size(picture.addresses[cell.row]!)}), `
        + `${picture.columnSeconds >= 600 ? dayAndTime(time) : clock(time)}: `
        + (share === undefined ? "not looked at" : share === 0 ? "nothing accessed" : `${percent(share)} accessed`);
}

/** No view at all where it would be the whole. */
function settle(picture: HeatPicture, view: View): View | undefined {
    return view.width >= picture.columns && view.height >= picture.rows ? undefined : view;
}

function place(element: HTMLCanvasElement, event: MouseEvent) {
    const box = element.getBoundingClientRect();
    const dotsWide = box.width - left;
    const dotsHigh = box.height - bottom;
    const x = (event.clientX - box.left - left) / dotsWide;
    const y = (event.clientY - box.top) / dotsHigh;
    return { x, y, isInside: x >= 0 && x < 1 && y >= 0 && y < 1, dotsWide, dotsHigh };
}

function imageOf(picture: HeatPicture, isDark: boolean): HTMLCanvasElement {
    const image = document.createElement("canvas");
    image.width = Math.max(1, picture.columns);
    image.height = picture.rows;
    if (picture.columns > 0)
        image.getContext("2d")!.putImageData(new ImageData(paint(picture, isDark), picture.columns, picture.rows), 0, 0);
    return image;
}

function draw(canvas: HTMLCanvasElement, picture: HeatPicture, image: HTMLCanvasElement, view: View, cell: Cell | undefined,
    width: number) {
    const ratio = devicePixelRatio;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d")!;
    context.scale(ratio, ratio);
    const wide = width - left;
    const high = height - bottom;
    const xOf = (column: number) => left + (column - view.left) / view.width * wide;
    const yOf = (row: number) => (row - view.top) / view.height * high;

    context.save();
    context.beginPath();
    context.rect(left, 0, wide, high);
    context.clip();
    context.imageSmoothingEnabled = false;
    context.drawImage(image, view.left, view.top, view.width, view.height, left, 0, wide, high);
    context.strokeStyle = colour("--pf-t--global--text--color--subtle");
    context.setLineDash([2, 3]);
    for (const row of holes(picture)) {
        context.beginPath();
        context.moveTo(left, yOf(row));
        context.lineTo(width, yOf(row));
        context.stroke();
    }
    if (cell) {
        context.setLineDash([]);
        context.strokeStyle = colour("--vt-mark");
        context.lineWidth = 2;
        context.strokeRect(xOf(cell.column) - 1, yOf(cell.row) - 1,
            Math.max(3, wide / view.width) + 2, Math.max(3, high / view.height) + 2);
    }
    context.restore();

    context.strokeStyle = colour("--vt-grid");
    context.strokeRect(left - 0.5, 0.5, wide, high);
    context.fillStyle = colour("--pf-t--global--text--color--subtle");
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "top";
    const rowTicks = Math.max(1, Math.ceil(view.height / 10));
    const endRow = Math.min(picture.rows, view.top + view.height);
    for (let row = Math.ceil(view.top / rowTicks) * rowTicks; row < endRow; row += rowTicks) {
        if (yOf(row) <= high - 12)
            context.fillText(address(picture.addresses[row]!), left - 8, yOf(row));
    }
    context.textAlign = "center";
    const columnTicks = Math.max(1, Math.ceil(view.width / Math.max(2, Math.floor(wide / 90))));
    const endColumn = view.left + view.width;
    for (let column = Math.ceil(view.left / columnTicks) * columnTicks; column < endColumn; column += columnTicks) {
        const x = xOf(column);
        if (x > left + 30 && x < width - 30)
            context.fillText(clock(timeOf(picture, column), picture.columnSeconds < 60), x, high + 8);
    }
}
