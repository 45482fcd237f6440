// SPDX-License-Identifier: Apache-2.0
import { useEffect, useRef, useState } from "preact/hooks";

export interface Answer<T> {
    value: T | undefined;
    error: Error | undefined;
}

/**
 * Asks at once and, where it is live, again and again so many seconds after each answer, but not while nobody looks. The last
 * value stays until there is another, beside an error and when the question changes.
 */
export function usePoll<T>(ask: () => Promise<T>, seconds: number | undefined, question: readonly unknown[]): Answer<T> {
    const [answer, setAnswer] = useState<Answer<T>>({ value: undefined, error: undefined });
    const latest = useRef(ask);
    latest.current = ask;
    useEffect(() => {
        let isOver = false;
        let timer = 0;
        const next = async () => {
            if (!isHidden()) {
                try {
                    const value = await latest.current();
                    if (!isOver)
                        setAnswer({ value, error: undefined });
                } catch (error) {
                    if (!isOver)
                        setAnswer(({ value }) => ({ value, error: error instanceof Error ? error : new Error(String(error)) }));
                }
            }
            if (!isOver && seconds !== undefined)
                timer = window.setTimeout(() => void next(), seconds * 1000);
        };
        void next();
        return () => {
            isOver = true;
            window.clearTimeout(timer);
        };
    }, question);
    return answer;
}

function isHidden(): boolean {
    return document.hidden || (typeof cockpit !== "undefined" && cockpit.hidden);
}
