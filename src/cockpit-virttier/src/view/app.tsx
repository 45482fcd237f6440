// SPDX-License-Identifier: Apache-2.0
import { useEffect, useState } from "preact/hooks";
import { NoAnswer, type Source } from "../agent/source";
import { dayAndTime } from "../model/units";
import { Detail } from "./detail";
import { Findings, Overview } from "./overview";
import { Alert } from "./parts";
import { usePoll } from "./poll";

export function App({ source }: { source: Source }) {
    const uuid = useDomainOfAddress();
    const mayChange = useRights(source);
    const [looks, setLooks] = useState(0);
    const status = usePoll(() => source.status(), source.isLive ? 2 : undefined, [source, mayChange]);
    const doctor = usePoll(() => source.doctor(), undefined, [source, mayChange, looks]);
    const lookAgain = () => setLooks(looks + 1);
    const domain = status.value?.domains.find(candidate => candidate.uuid === uuid);
    const name = domain?.name ?? "VM";
    useEffect(() => {
        document.title = uuid ? `${name} · Memory tiering` : "Memory tiering";
    }, [uuid, name]);
    return (
        <main class="vt-page">
            <header class="vt-head">
                {uuid === undefined
                    ? <h1 class="pf-v6-c-title pf-m-2xl">Memory tiering{source.isLive ? "" : ` on ${source.host}`}</h1>
                    : (
                        <div>
                            <nav class="pf-v6-c-breadcrumb" aria-label="Breadcrumb"><a href="#/">Memory tiering</a></nav>
                            <h1 class="pf-v6-c-title pf-m-2xl vt-breakable">{name}</h1>
                        </div>
                    )}
                <p class="vt-note">
                    {source.made && `${dayAndTime(source.made)}. `}
                    {status.value && `virttier ${status.value.version}, up for ${lasted(status.value.uptimeSeconds)}`}
                </p>
            </header>
            {status.error && <Failure error={status.error} isKnown={status.value !== undefined} />}
            {!status.value && !status.error && <p class="vt-note" role="status">Asking the agent…</p>}
            {status.value && (uuid === undefined
                ? <Overview status={status.value} doctor={doctor} onLookAgain={source.isLive ? lookAgain : undefined} />
                : <Detail key={uuid} uuid={uuid} status={status.value} source={source} mayChange={mayChange} />)}
            {!status.value && status.error && <Findings doctor={doctor} onLookAgain={lookAgain} />}
        </main>
    );
}

function Failure({ error, isKnown }: { error: Error; isKnown: boolean }) {
    const kind = error instanceof NoAnswer ? error.kind : "other";
    const titles = {
        down: "The agent is not running",
        denied: "You may not see this",
        gone: "It is not there",
        other: "The agent does not answer",
    };
    return (
        <Alert tone={kind === "denied" ? "info" : "danger"} title={titles[kind]}>
            <p>{error.message}{isKnown && " What is shown is the last it said."}</p>
            {error instanceof NoAnswer && error.mend && <p>mend it with: <code>{error.mend}</code></p>}
        </Alert>
    );
}

/** The VM that the address names (#/vm/UUID). */
function useDomainOfAddress(): string | undefined {
    const look = () => /^#\/vm\/([0-9a-fA-F-]{36})$/.exec(location.hash)?.[1];
    const [uuid, setUuid] = useState(look);
    useEffect(() => {
        const changed = () => {
            setUuid(look());
            window.scrollTo(0, 0);
        };
        window.addEventListener("hashchange", changed);
        return () => window.removeEventListener("hashchange", changed);
    }, []);
    return uuid;
}

function useRights({ rights }: Source): boolean {
    const [areGiven, setGiven] = useState(rights?.areGiven ?? false);
    useEffect(() => {
        setGiven(rights?.areGiven ?? false);
        return rights?.onChange(() => setGiven(rights.areGiven));
    }, [rights]);
    return areGiven;
}

function lasted(seconds: number): string {
    const [minutes, hours] = [seconds / 60, seconds / 3600];
    return hours >= 48 ? `${(hours / 24).toFixed(0)} days` : hours >= 2 ? `${hours.toFixed(0)} h`
        : minutes >= 2 ? `${minutes.toFixed(0)} min` : `${seconds.toFixed(0)} s`;
}
