// SPDX-License-Identifier: Apache-2.0
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { colour } from "./theme";

export const plotColours = {
    text: () => colour("--pf-t--global--text--color--subtle"),
    grid: () => colour("--vt-grid"),
    dram: () => colour("--vt-dram"),
    slow: () => colour("--vt-slow"),
    mark: () => colour("--vt-mark"),
};

/** What both axes of all plots have. */
export function axis(values: uPlot.Axis.Values, width: number): uPlot.Axis {
    return {
        stroke: plotColours.text,
        grid: { stroke: plotColours.grid, width: 1 },
        ticks: { stroke: plotColours.grid, width: 1 },
        font: "12px system-ui, sans-serif",
        size: width,
        values,
    };
}

/** A plot as wide as its place, drawn anew when the key changes (options are read then), else only given its data. */
export function Plot({ label, height, options, data, drawKey, onReady }: {
    label: string;
    height: number;
    options: () => Omit<uPlot.Options, "width" | "height">;
    data: uPlot.AlignedData;
    drawKey: unknown;
    onReady?: (plot: uPlot | undefined) => void;
}) {
    const place = useRef<HTMLDivElement>(null);
    const plot = useRef<uPlot | undefined>(undefined);
    useEffect(() => {
        const element = place.current!;
        const made = new uPlot({ ...options(), width: Math.max(100, element.clientWidth), height }, data, element);
        plot.current = made;
        onReady?.(made);
        const observer = new ResizeObserver(() => made.setSize({ width: Math.max(100, element.clientWidth), height }));
        observer.observe(element);
        return () => {
            observer.disconnect();
            onReady?.(undefined);
            made.destroy();
            plot.current = undefined;
        };
    }, [drawKey, height]);
    useEffect(() => plot.current?.setData(data), [data]);
    return <div ref={place} class="vt-plot" role="img" aria-label={label} />;
}
