# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# testbed run: one command in the host. A job is a folder in the share; its name, sent down the host's second serial
# port, starts it (image/overlay/usr/local/sbin/testbed-agent). Both outputs are streamed as they grow.

RUN_LIMIT=600

# wait_for_code JOB LIMIT: returns when the command has ended, 124 when it is far over its limit, 125 when the host is gone.
wait_for_code() {
    local job=$1 deadline=$((SECONDS + $2 + 15)) never
    exec {never}<> <(:)
    until [ -f "$job/code" ]; do
        host_pid > /dev/null || return 125
        [ $SECONDS -lt $deadline ] || return 124
        # A read that nobody answers is a sleep without a process.
        read -rt 0.03 -u "$never" || true
    done
}

run() {
    local limit=$RUN_LIMIT job code=0 waiter
    if [ "${1:-}" = -t ]; then
        limit=${2:-}
        case $limit in '' | *[!0-9]*) die "run -t '$limit': a whole number of seconds is wanted" 2 ;; esac
        shift 2
    fi
    { host_pid > /dev/null && is_ready; } || die "host '$INSTANCE' is not up; start it with: $TESTBED_DIR/testbed up" 125
    job=$(mktemp -d "$SHARE/run/XXXXXXXX")
    if [ $# -gt 0 ]; then echo "$*"; else cat; fi > "$job/command"
    echo "$limit" > "$job/limit"
    touch "$job/out" "$job/err"
    wait_for_code "$job" "$limit" &
    waiter=$!
    tail --sleep-interval=0.05 --lines=+1 --follow --pid=$waiter "$job/out" &
    tail --sleep-interval=0.05 --lines=+1 --follow --pid=$waiter "$job/err" >&2 &
    echo "${job##*/}" 1<> "$RUN/command.in"
    wait $waiter || code=$?
    wait
    [ ! -f "$job/code" ] || code=$(< "$job/code")
    case $code in
        124) say "the command ran into its limit of $limit s" ;;
        125) host_pid > /dev/null || { say "host '$INSTANCE' is gone"; console_tail; } ;;
    esac
    rm -rf "$job"
    return "$code"
}
