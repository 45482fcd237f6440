// SPDX-License-Identifier: Apache-2.0
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { bars } from "./bars";
import type { AgentStatus, Domain, DomainDetail, HeatLevel } from "../agent/answers";
import { pageBytes } from "../agent/answers";
import { NoAnswer, type Source } from "../agent/source";
import { heatBands, whyUnmoved } from "../model/domains";
import { lastMoves, type Moved } from "../model/moves";
import { clock, dayAndTime, percent, size } from "../model/units";
import { CurveCard } from "./curve";
import { HeatCard } from "./heat-map";
import { Bar, DomainBar, State } from "./overview";
import { Alert, AsTable, Card, Facts, Size, Table } from "./parts";
import { axis, Plot, plotColours } from "./plot";
import { usePoll } from "./poll";
import { useDark } from "./theme";

export function Detail({ uuid, status, source, mayChange }: {
    uuid: string;
    status: AgentStatus;
    source: Source;
    mayChange: boolean;
}) {
    const [seconds, setSeconds] = useState(600);
    const detail = usePoll(() => source.detail(uuid), source.isLive ? 2 : undefined, [uuid, source]);
    const heat = usePoll(() => source.heat(uuid, seconds), source.isLive ? 5 : undefined, [uuid, source, seconds]);
    if (!detail.value)
        return detail.error
            ? <Alert tone="warning" title="There is nothing to show of this VM">{detail.error.message}</Alert>
            : <p class="vt-note" role="status">Asking the agent…</p>;
    const d = detail.value.status;
    return (
        <>
            {detail.error && (
                <Alert tone="warning" title={detail.error instanceof NoAnswer && detail.error.kind === "gone"
                    ? "This VM does not run any more: this was the last of it"
                    : "The agent does not answer: this is the last it said"}>
                    {detail.error.message}
                </Alert>
            )}
            {d.reason && <Alert tone={d.needsAttention ? "warning" : "info"} title={d.reason} />}
            {d.problems.map(problem => (
                <Alert key={problem.attribute} tone="warning"
                    title={`The setting ${problem.attribute}="${problem.value}" cannot be used`}>
                    {problem.message}
                </Alert>
            ))}
            <div class="vt-grid">
                <MemoryCard domain={d} detail={detail.value} />
                <CurveCard domain={d} curve={detail.value.curve} source={source} mayChange={mayChange}
                    poolBytes={status.poolBytes} />
                <HeatCard name={d.name} heat={heat.value} seconds={seconds} onSeconds={setSeconds} error={heat.error?.message} />
                <MovesCard domain={d} detail={detail.value} seconds={seconds} />
                <HistogramCard name={d.name} levels={detail.value.heat} />
                <EventsCard detail={detail.value} />
            </div>
        </>
    );
}

function MemoryCard({ domain: d, detail }: { domain: Domain; detail: DomainDetail }) {
    const nodes = detail.nodes.map(({ node, bytes }) => `node ${node}: ${size(bytes)}`).join(", ");
    return (
        <Card title="Memory">
            <DomainBar domain={d} />
            <p class="vt-note vt-bar-legend">
                <span class="vt-key vt-dram">in DRAM</span> <span class="vt-key vt-slow">on slow memory</span>{" "}
                <span class="vt-key vt-mark">budget</span>
            </p>
            <Facts facts={[
                ["State", <State name={d.stateName} needsAttention={d.needsAttention} />],
                ["Mode", d.mode],
                ["Memory", size(d.memoryBytes)],
                ["In DRAM", `${size(d.fastBytes)} of the budget’s ${size(d.budgetBytes)}`],
                ["On slow memory", size(d.slowBytes)],
                ["Hot", size(d.hotBytes) + (d.hotBytes > 0 ? `, ${percent(d.hotFastBytes / d.hotBytes)} of it in DRAM` : "")],
                ["By NUMA node", nodes || "not known yet"],
                ["Rounds", `${d.rounds}, one in ${d.roundSeconds.toFixed(0)} s`],
            ]} />
            {d.settings.length > 0 && (
                <Table caption={`Settings of ${d.name}`} heads={["setting", "value", "from"]}
                    rows={d.settings.map(setting =>
                        [setting.attribute, setting.value, setting.from + (setting.cut ? ` (${setting.cut})` : "")])} />
            )}
        </Card>
    );
}

function MovesCard({ domain: d, detail, seconds }: { domain: Domain; detail: DomainDetail; seconds: number }) {
    const moves = useMemo(() => lastMoves(detail.moves, seconds), [detail.moves, seconds]);
    const unmoved = Object.entries(d.unmoved).sort(([, a], [, b]) => b - a);
    return (
        <Card title="Moves"
            note={"Up: to DRAM. Down: to slow memory."
                + (moves ? " Of the same time as the heat map; ▾ is an event, told below." : "")}>
            {moves && (
                <MovesPlot name={d.name} columnSeconds={moves.columnSeconds} moves={moves.columns} events={detail.events} />
            )}
            <Facts facts={[
                ["Up, since it was attached", size(d.promotedPages * pageBytes)],
                ["Down, since it was attached", size(d.demotedPages * pageBytes)],
                ["Of late undone soon", percent(d.pingPongShare)],
            ]} />
            {unmoved.length > 0 && (
                <Table caption={`Memory of ${d.name} that would not move`} heads={["would not move", "why"]}
                    rows={unmoved.map(([cause, pages]) => [<Size bytes={pages * pageBytes} />, whyUnmoved(cause)])} />
            )}
        </Card>
    );
}

function MovesPlot({ name, columnSeconds, moves, events }: {
    name: string;
    columnSeconds: number;
    moves: readonly Moved[];
    events: DomainDetail["events"];
}) {
    const isDark = useDark();
    const plot = useRef<uPlot | undefined>(undefined);
    const times = useRef<number[]>([]);
    times.current = events.map(event => new Date(event.time).getTime() / 1000);
    const first = (moves[0]?.time ?? 0) - columnSeconds;
    const last = moves.at(-1)?.time ?? 0;
    const period = useRef<[number, number]>([0, 0]);
    period.current = [first, last];
    const data = useMemo<uPlot.AlignedData>(
        () => [moves.map(moved => moved.time), moves.map(moved => moved.upBytes), moves.map(moved => -moved.downBytes)], [moves]);
    useEffect(() => plot.current?.redraw(false), [events]);
    const some = moves.filter(moved => moved.upBytes + moved.downBytes > 0);
    const timeOf = (time: number) => {
        const date = new Date(time * 1000);
        return columnSeconds < 60 ? clock(date) : columnSeconds < 600 ? clock(date, false) : dayAndTime(date).slice(5, -3);
    };
    return (
        <>
            <Plot label={`Moves of ${name} over time. The table below has them in figures.`} height={160}
                data={data} drawKey={`${isDark} ${columnSeconds}`} onReady={made => plot.current = made} options={() => ({
                    legend: { show: false },
                    cursor: { show: false },
                    scales: {
                        x: { range: () => period.current },
                        y: { range: (_, low, high) => span(low, high) },
                    },
                    axes: [
                        { ...axis((_, ticks) => ticks.map(timeOf), 28), space: 90 },
                        { ...axis((_, ticks) => ticks.map(tick => size(Math.abs(tick))), 70), incrs: byteIncrements },
                    ],
                    series: [
                        {},
                        { stroke: plotColours.dram, fill: plotColours.dram, paths: bars, points: { show: false } },
                        { stroke: plotColours.slow, fill: plotColours.slow, paths: bars, points: { show: false } },
                    ],
                    hooks: { draw: [made => times.current.forEach(time => markEvent(made, time))] },
                })} />
            <AsTable>
                {some.length === 0
                    ? <p class="vt-note">Nothing was moved in this time.</p>
                    : <Table caption={`Moves of ${name}, by the end of ${lengthOf(columnSeconds)} each`}
                        heads={["until", "up", "down"]}
                        rows={some.slice(-20).map(moved => [timeOf(moved.time), size(moved.upBytes), size(moved.downBytes)])} />}
            </AsTable>
        </>
    );
}

function lengthOf(seconds: number): string {
    const words: Record<number, string> = { 5: "five seconds", 60: "a minute", 600: "ten minutes" };
    return words[seconds] ?? `${seconds} s`;
}

/** A small triangle at the upper edge of a plot. */
function markEvent({ ctx, bbox, valToPos }: uPlot, time: number): void {
    const x = valToPos(time, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width)
        return;
    const half = 5 * devicePixelRatio;
    ctx.save();
    ctx.fillStyle = plotColours.mark();
    ctx.beginPath();
    ctx.moveTo(x - half, bbox.top);
    ctx.lineTo(x + half, bbox.top);
    ctx.lineTo(x, bbox.top + 1.5 * half);
    ctx.fill();
    ctx.restore();
}

const byteIncrements = Array.from({ length: 40 }, (_, i) => 2 ** (i + 10));

function span(low: number | null, high: number | null): [number, number] {
    const most = Math.max(1024 ** 2, Math.abs(low ?? 0), Math.abs(high ?? 0));
    return [(low ?? 0) < 0 ? -most : 0, most];
}

function HistogramCard({ name, levels }: { name: string; levels: readonly HeatLevel[] }) {
    const bands = useMemo(() => heatBands(levels), [levels]);
    const whole = Math.max(1, ...bands.map(band => band.fastBytes + band.slowBytes));
    if (levels.length === 0)
        return <Card title="How hot"><p class="vt-empty">Its heat is not known yet.</p></Card>;
    return (
        <Card title="How hot" note="Memory by the share of harvests that find a page accessed.">
            <Table caption={`Memory of ${name} by heat`} heads={["heat", "in DRAM", "slow", "together"]}
                rows={bands.map(band => [
                    <span class="vt-quantity">{band.label}</span>,
                    <Size bytes={band.fastBytes} />,
                    <Size bytes={band.slowBytes} />,
                    <>
                        <span class="vt-hidden">{size(band.fastBytes + band.slowBytes)}</span>
                        <Bar whole={whole} parts={[[band.fastBytes, "vt-dram"], [band.slowBytes, "vt-slow"]]} />
                    </>,
                ])} />
        </Card>
    );
}

function EventsCard({ detail }: { detail: DomainDetail }) {
    return (
        <Card title="Events" wide note="What the agent logged of this VM since it was started; the journal has the older ones.">
            {detail.events.length === 0
                ? <p class="vt-empty">Nothing yet.</p>
                : (
                    <ol class="vt-events" reversed>
                        {[...detail.events].reverse().map((event, i) => (
                            <li key={`${event.time} ${i}`}>
                                <time dateTime={event.time}>{dayAndTime(new Date(event.time))}</time> <span>{event.text}</span>
                            </li>
                        ))}
                    </ol>
                )}
        </Card>
    );
}
