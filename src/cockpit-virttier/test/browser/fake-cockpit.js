// SPDX-License-Identifier: Apache-2.0
// Answers as Cockpit's cockpit.js would, from window.fakeHost (test/hosts.ts), which the tests change as they go.
"use strict";

(() => {
    const host = window.fakeHost;
    const listeners = new Set();

    const later = (value, error, data) => ({
        then(done, failed) {
            setTimeout(() => error ? failed(error, data) : done(value), 5);
        },
    });

    const failures = {
        down: { problem: "not-found", name: null, message: "" },
        denied: { name: "org.freedesktop.DBus.Error.AccessDenied", message: "Sender is not authorized to send message" },
    };

    const answers = {
        GetStatus: () => host.status,
        GetDetail: uuid => host.details[uuid],
        GetHeat: uuid => host.heat[uuid],
    };

    window.cockpit = {
        hidden: false,
        transport: { host: "localhost" },
        dbus(name) {
            if (name !== "org.virttier.Agent1")
                throw new Error(`nobody is ${name}`);
            let isClosed = false;
            return {
                call(_path, _iface, method, args) {
                    if (isClosed)
                        return later(null, { problem: "disconnected" });
                    if (host.agent !== "up")
                        return later(null, failures[host.agent]);
                    const answer = answers[method](...args);
                    return answer
                        ? later([JSON.stringify(answer)])
                        : later(null, {
                            name: `org.virttier.Agent1.Error.${method === "GetHeat" ? "NoHeat" : "NoSuchDomain"}`,
                            message: "no running domain has this UUID",
                        });
                },
                close() {
                    isClosed = true;
                },
            };
        },
        spawn(command, options) {
            if (command[1] === "doctor") {
                const text = JSON.stringify(host.doctor);
                return host.doctor.severity === "Ok" ? later(text) : later(null, { message: "exited with code 2" }, text);
            }
            if (options.superuser !== "require" || !host.isAdministrator)
                return later(null, { problem: "access-denied", message: "Not permitted to perform this action." });
            if (host.refusal)
                return later(null, { message: host.refusal });
            host.changes.push(command);
            return later(`web1 (live): ${command[3].slice(2)}=${command[4]}\n`);
        },
        permission() {
            return {
                get allowed() {
                    return host.isAdministrator;
                },
                addEventListener: (_name, listener) => listeners.add(listener),
                removeEventListener: (_name, listener) => listeners.delete(listener),
            };
        },
    };

    window.fakeAdministrator = isAdministrator => {
        host.isAdministrator = isAdministrator;
        listeners.forEach(listener => listener());
    };
})();
