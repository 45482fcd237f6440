// SPDX-License-Identifier: Apache-2.0
// The part of Cockpit's cockpit.js (base1) that is used.

interface CockpitError {
    problem?: string | null;
    name?: string | null;
    message?: string;
}

interface CockpitPromise<T> {
    then(done: (result: T) => void, failed: (error: CockpitError, data?: string) => void): unknown;
}

interface CockpitDBusClient {
    call(path: string, iface: string, method: string, args: unknown[], options: { type: string }): CockpitPromise<[string]>;
    close(): void;
}

interface CockpitPermission {
    readonly allowed: boolean | null;
    addEventListener(name: "changed", listener: () => void): void;
    removeEventListener(name: "changed", listener: () => void): void;
}

declare const cockpit: {
    readonly hidden: boolean;
    dbus(name: string, options: { bus: "system"; superuser: "try" }): CockpitDBusClient;
    spawn(
        command: readonly string[], options: { superuser: "try" | "require"; err: "message" | "ignore" },
    ): CockpitPromise<string>;
    permission(options: { admin: true }): CockpitPermission;
    transport: { readonly host: string };
};
