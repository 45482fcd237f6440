// SPDX-License-Identifier: Apache-2.0
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import type { Curve, Domain } from "../agent/answers";
import type { Source } from "../agent/source";
import { budgetStep, curveRows, slowShare, snapBudget } from "../model/curve";
import { budgetCommand } from "../model/domains";
import { exactSize, percent, size } from "../model/units";
import { Alert, AsTable, Button, Card, Dialog, Table } from "./parts";
import { axis, Plot, plotColours } from "./plot";
import { useDark } from "./theme";

/** How accesses would be slow with another budget, and a handle to set it. */
export function CurveCard({ domain, curve, source, mayChange, poolBytes }: {
    domain: Domain;
    curve: Curve | undefined;
    source: Source;
    mayChange: boolean;
    poolBytes: number;
}) {
    const [chosen, setChosen] = useState<number>();
    const [question, setQuestion] = useState<string>();
    const [said, setSaid] = useState<string>();
    const dram = domain.settings.find(setting => setting.attribute === "dram");
    const note = "Share of accesses that go to slow memory, for each amount of DRAM. It is a share of accesses, not of time.";
    if (!curve)
        return (
            <Card title="Budget" note={note}>
                <p class="vt-empty">Too little is known of this VM yet: the curve comes after a few rounds.</p>
            </Card>
        );
    const budget = chosen ?? domain.budgetBytes;
    const isChosen = chosen !== undefined && chosen !== domain.budgetBytes;
    const done = (text: string | undefined) => {
        setQuestion(undefined);
        if (text !== undefined) {
            setSaid(text);
            setChosen(undefined);
        }
    };
    return (
        <Card title="Budget" note={note}>
            <CurvePlot curve={curve} domain={domain} chosen={isChosen ? budget : undefined}
                onChoose={source.isLive ? setChosen : undefined} />
            {source.isLive && (
                <label class="vt-handle">
                    <span>Try a budget</span>
                    <input type="range" min={budgetStep(domain.memoryBytes)}
                        max={snapBudget(domain.memoryBytes, domain.memoryBytes)} step={budgetStep(domain.memoryBytes)}
                        value={snapBudget(budget, domain.memoryBytes)}
                        aria-valuetext={`${size(budget)}: ${percent(slowShare(curve.points, budget))} of accesses slow`}
                        onInput={event => setChosen(Number(event.currentTarget.value))} />
                </label>
            )}
            <dl class="vt-predictions" aria-live="polite">
                <Prediction term="Budget now" bytes={domain.budgetBytes} curve={curve} />
                {isChosen && <Prediction term="Tried" bytes={budget} curve={curve} />}
            </dl>
            <p class="vt-note">
                {curve.error === undefined
                    ? "No prediction came due yet, so how far they are off is not known."
                    : `Predictions of late were off by ${percent(curve.error)} on average.`}
                {dram && ` The setting dram="${dram.value}" is ${originOf(dram.from)}${dram.cut ? `; ${dram.cut}` : ""}.`}
            </p>
            {isChosen && budget > poolBytes && (
                <Alert tone="warning" title={`All budgets together have a pool of ${size(poolBytes)}`}>
                    The agent would cut this one.
                </Alert>
            )}
            {source.isLive && (
                <div class="vt-actions">
                    <Button kind="primary" disabled={!mayChange || !isChosen} onClick={() => setQuestion(exactSize(budget))}>
                        {isChosen ? `Set ${size(budget)}…` : "Set budget…"}
                    </Button>
                    {dram && dram.value !== "auto" && (
                        <Button disabled={!mayChange} onClick={() => setQuestion("auto")}>Let VirtTier decide…</Button>
                    )}
                    {isChosen && <Button kind="link" onClick={() => setChosen(undefined)}>Back to what is set</Button>}
                </div>
            )}
            {source.isLive && !mayChange && (
                <p class="vt-note">Read only: to set a budget, switch to administrative access at the top of Cockpit.</p>
            )}
            {said && <Alert tone="success" title="The domain’s metadata is written">{said}</Alert>}
            {question !== undefined && (
                <Confirmation domain={domain} dram={question} source={source} onDone={done}
                    prediction={question === "auto" ? undefined : predict(curve, budget)} />
            )}
            <AsTable>
                <Table caption={`Share of slow accesses of ${domain.name} by DRAM`} heads={["DRAM", "accesses slow"]}
                    rows={curveRows(curve.points, 17).map(point => [size(point.dramBytes), percent(point.slowShare)])} />
            </AsTable>
        </Card>
    );
}

function originOf(from: string): string {
    return from === "built in" ? from : `from ${from}`;
}

function predict(curve: Curve, bytes: number): string {
    return `${percent(slowShare(curve.points, bytes))}${curve.error === undefined ? "" : ` ± ${percent(curve.error)}`}`;
}

function Prediction({ term, bytes, curve }: { term: string; bytes: number; curve: Curve }) {
    return (
        <div>
            <dt>{term}</dt>
            <dd><strong>{size(bytes)}</strong>: {predict(curve, bytes)} of accesses slow</dd>
        </div>
    );
}

function CurvePlot({ curve, domain, chosen, onChoose }: {
    curve: Curve;
    domain: Domain;
    chosen: number | undefined;
    onChoose: ((bytes: number) => void) | undefined;
}) {
    const isDark = useDark();
    const marks = useRef({ budget: domain.budgetBytes, chosen });
    marks.current = { budget: domain.budgetBytes, chosen };
    const choose = useRef(onChoose);
    choose.current = onChoose;
    const plot = useRef<uPlot | undefined>(undefined);
    const data = useMemo<uPlot.AlignedData>(
        () => [curve.points.map(point => point.dramBytes), curve.points.map(point => point.slowShare)], [curve.points]);
    useEffect(() => plot.current?.redraw(false), [domain.budgetBytes, chosen]);
    const label = `Curve: with the budget of ${size(domain.budgetBytes)}, ${predict(curve, domain.budgetBytes)} `
        + "of accesses are slow. The table below has it in figures.";
    return (
        <Plot label={label} height={220} data={data} drawKey={`${isDark} ${domain.uuid} ${domain.memoryBytes}`}
            onReady={made => {
                plot.current = made;
                if (made)
                    dragOn(made, bytes => choose.current?.(snapBudget(bytes, domain.memoryBytes)));
            }}
            options={() => ({
                legend: { show: false },
                cursor: { drag: { setScale: false, x: false, y: false }, points: { show: false }, y: false, x: false },
                scales: { x: { time: false, range: [0, domain.memoryBytes] }, y: { range: [0, 1] } },
                axes: [
                    { ...axis((_, ticks) => ticks.map(size), 32), incrs: byteSteps, space: 90 },
                    axis((_, ticks) => ticks.map(percent), 52),
                ],
                series: [{}, { stroke: plotColours.slow, fill: `${plotColours.slow()}33`, width: 2, points: { show: false } }],
                hooks: {
                    draw: [made => {
                        line(made, marks.current.budget, plotColours.mark(), [], "budget");
                        if (marks.current.chosen !== undefined)
                            line(made, marks.current.chosen, plotColours.dram(), [6, 4], "tried");
                    }],
                },
            })} />
    );
}

const byteSteps = Array.from({ length: 44 }, (_, i) => 2 ** i);

/** A line across the plot at an amount of DRAM, with a grip to drag it by. */
function line(plot: uPlot, bytes: number, stroke: string, dash: number[], text: string): void {
    const { ctx, bbox } = plot;
    const x = Math.round(plot.valToPos(bytes, "x", true));
    const scale = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = stroke;
    ctx.lineWidth = 2 * scale;
    ctx.setLineDash(dash.map(part => part * scale));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.arc(x, bbox.top + bbox.height / 2, 5 * scale, 0, 2 * Math.PI);
    ctx.fill();
    ctx.font = `${12 * scale}px system-ui, sans-serif`;
    const isRight = x + ctx.measureText(text).width + 12 * scale > bbox.left + bbox.width;
    ctx.textAlign = isRight ? "right" : "left";
    ctx.fillText(text, x + (isRight ? -6 : 6) * scale, bbox.top + (text === "budget" ? 14 : 30) * scale);
    ctx.restore();
}

function dragOn(plot: uPlot, choose: (bytes: number) => void): void {
    const at = (event: PointerEvent) =>
        choose(plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x"));
    plot.over.addEventListener("pointerdown", event => {
        plot.over.setPointerCapture(event.pointerId);
        at(event);
    });
    plot.over.addEventListener("pointermove", event => plot.over.hasPointerCapture(event.pointerId) && at(event));
}

function Confirmation({ domain, dram, prediction, source, onDone }: {
    domain: Domain;
    dram: string;
    prediction: string | undefined;
    source: Source;
    onDone: (said: string | undefined) => void;
}) {
    const [keep, setKeep] = useState(false);
    const [isBusy, setBusy] = useState(false);
    const [error, setError] = useState<string>();
    const command = budgetCommand(domain.uuid, dram, keep);
    const shown = dram.replace(/(?=[KMGT])/, " ");
    const carryOut = async () => {
        setBusy(true);
        setError(undefined);
        try {
            onDone((await source.change(command)).trim());
        } catch (failure) {
            setError(failure instanceof Error ? failure.message : String(failure));
            setBusy(false);
        }
    };
    return (
        <Dialog title={dram === "auto" ? "Let VirtTier decide the budget?" : `Set the budget to ${shown}?`}
            onClose={() => onDone(undefined)}
            footer={
                <>
                    <Button kind="primary" disabled={isBusy} onClick={() => void carryOut()}>
                        {isBusy ? "Setting…" : "Set it"}
                    </Button>
                    <Button kind="link" disabled={isBusy} onClick={() => onDone(undefined)}>Leave it</Button>
                </>
            }>
            <p>
                <strong class="vt-breakable">{domain.name}</strong> has {size(domain.budgetBytes)} now.
                {prediction && ` With ${shown}, ${prediction} of its accesses are predicted to be slow.`}
                {!prediction && " The agent then divides the pool by what each VM gains from DRAM."}
            </p>
            <label class="vt-check">
                <input type="checkbox" checked={keep} onChange={event => setKeep(event.currentTarget.checked)} />
                Keep it for its next starts too
            </label>
            <p>This is run: <code>{command.join(" ")}</code></p>
            {error && <Alert tone="danger" title="It was not set">{error}</Alert>}
        </Dialog>
    );
}
