# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The running host: up, run, down, status.

NODE0=${TESTBED_NODE0:-2560M}
NODE1=${TESTBED_NODE1:-2048M}
CPUS=2
UP_LIMIT=600
# The emulator has killed a host while it booted, now and then; see testbed/README.md.
UP_ATTEMPTS=3

# host_pid: prints the pid of our QEMU. False when it is not running, or when the pid now belongs to another program.
host_pid() {
    # A process has no command line for a moment while it executes another program: a second look decides.
    look_for_host || { sleep 0.3 && look_for_host; }
}

look_for_host() {
    local pid
    pid=$(cat "$RUN/pid" 2> /dev/null) && [ -n "$pid" ] || return
    grep -qzFx "pipe:$RUN/command" "/proc/$pid/cmdline" 2> /dev/null && echo "$pid"
}

mebibytes() {
    case $1 in
        *[!0-9]*[MG] | [MG]) ;;
        *M) echo "${1%M}" && return ;;
        *G) echo $((${1%G} * 1024)) && return ;;
    esac
    die "$2='$1' is not a size; use for example 2560M or 3G" 2
}

# hmat_entries NODE [TYPE VALUE]...: adds to hmat what QEMU is to say of a node as seen from node 0.
hmat_entries() {
    local node=$1
    shift
    while [ $# -gt 0 ]; do
        hmat+=(-numa "hmat-lb,initiator=0,target=$node,hierarchy=memory,data-type=$1,$2")
        shift 2
    done
}

start_qemu() {
    local base=$1 initrd=$2 accel=$3 m0 m1 machine hmat
    m0=$(mebibytes "$NODE0" TESTBED_NODE0)
    m1=$(mebibytes "$NODE1" TESTBED_NODE1)
    if [ "$accel" = kvm ]; then
        machine=(-accel kvm -cpu host)
    else
        machine=(-accel "tcg,thread=multi,tb-size=512" -cpu "max,-la57,+svm,+npt")
    fi
    # What the firmware says of the nodes. By latency a write to node 1 loses as much as a read, so that writes weigh the same.
    hmat=()
    hmat_entries 0 access-latency latency=100 read-bandwidth bandwidth=20G write-bandwidth bandwidth=20G
    hmat_entries 1 access-latency latency=300 read-bandwidth bandwidth=10G write-bandwidth bandwidth=8G
    # cpu_reset: the registers of a host that dies without a word are then in qemu.log.
    # no_timer_check: on a busy machine the check finds no timer in time and the kernel gives up.
    # Node 1 has memory and no CPU: the slow tier. NUMA balancing would empty the guests' page tables under the sampler.
    # The shell around it stays to tell in qemu.log how it ended: a signal leaves no word elsewhere.
    # shellcheck disable=SC2016
    setsid bash -c '"$@" & echo $! > "$0/pid"; wait $!; echo "$(date -u +%T) the emulator ended with status $?"' "$RUN" \
        "$(emulator)" -name "testbed-$INSTANCE" "${machine[@]}" -machine q35,hmat=on -smp $CPUS -m $((m0 + m1)) \
        -object "memory-backend-ram,id=m0,size=${m0}M" -numa "node,nodeid=0,cpus=0-$((CPUS - 1)),memdev=m0" \
        -object "memory-backend-ram,id=m1,size=${m1}M" -numa node,nodeid=1,memdev=m1,initiator=0 \
        -numa dist,src=0,dst=1,val=20 "${hmat[@]}" \
        -nodefaults -display none -no-reboot -d cpu_reset -kernel "$base/vmlinuz" -initrd "$initrd" \
        -append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check systemd.default_timeout_start_sec=$UP_LIMIT numa_balancing=disable transparent_hugepage=never${TESTBED_APPEND:+ $TESTBED_APPEND}" \
        -drive "file=$base/root.ext4,format=raw,if=none,id=disk,snapshot=on" -device virtio-blk-pci,drive=disk \
        -fsdev "local,id=share,path=$SHARE,security_model=none" -device virtio-9p-pci,fsdev=share,mount_tag=share \
        -serial "file:$CONSOLE" -serial "pipe:$RUN/command" \
        < /dev/null > "$RUN/qemu.log" 2>&1 9>&- &
    # Until exec the child still carries another name.
    until host_pid > /dev/null || ! kill -0 $! 2> /dev/null; do sleep 0.02; done
}

console_tail() {
    say "the end of its console ($CONSOLE):"
    tail -n 20 "$CONSOLE" "$RUN/qemu.log" 2> /dev/null >&2 || true
}

is_ready() { grep -qsa TESTBED-READY "$CONSOLE"; }

# wait_ready: false when the host died.
wait_ready() {
    local deadline=$((SECONDS + UP_LIMIT))
    until is_ready; do
        if ! host_pid > /dev/null; then
            console_tail
            return 1
        fi
        if [ $SECONDS -ge $deadline ]; then
            console_tail
            die "the host '$INSTANCE' was not ready within $UP_LIMIT s; take it down with: $TESTBED_DIR/testbed down"
        fi
        sleep 0.1
    done
}

# keep_libvirt_cache FILE: the first boot of an image on this machine leaves what libvirtd learned there for later ones.
keep_libvirt_cache() {
    [ -f "$1" ] || { cp "$SHARE/libvirt-cache.tar" "$1.$INSTANCE" && mv "$1.$INSTANCE" "$1"; }
}

boot() {
    local base=$1 initrd=$2 accel=$3 libvirt_cache=$4
    rm -rf "$SHARE" "$RUN"/command.*
    mkdir -p "$SHARE/run"
    [ ! -f "$libvirt_cache" ] || cp "$libvirt_cache" "$SHARE/libvirt-cache.tar"
    # What the last host of this name said stays readable for as long as the next one runs.
    [ ! -f "$CONSOLE" ] || mv "$CONSOLE" "$CONSOLE.before"
    [ ! -f "$RUN/qemu.log" ] || mv "$RUN/qemu.log" "$RUN/qemu.log.before"
    : > "$CONSOLE"
    mkfifo "$RUN/command.in" "$RUN/command.out"
    echo "$accel" > "$RUN/accel"
    start_qemu "$base" "$initrd" "$accel"
    wait_ready
}

up() {
    local base initrd accel libvirt_cache attempt=1 begin=$SECONDS
    build
    base=$(base_dir)
    initrd=$(initrd_file)
    mkdir -p "$RUN"
    exec 9> "$RUN/lock"
    flock 9
    if host_pid > /dev/null && wait_ready; then
        status
        return
    fi
    accel=$(choose_accel)
    libvirt_cache=$base/libvirt-cache-$accel.tar
    until boot "$base" "$initrd" "$accel" "$libvirt_cache"; do
        [ $((attempt += 1)) -le $UP_ATTEMPTS ] || die "the host '$INSTANCE' died while booting, $UP_ATTEMPTS times"
        say "THE HOST '$INSTANCE' DIED WHILE BOOTING: once more"
    done
    keep_libvirt_cache "$libvirt_cache"
    say "host '$INSTANCE' is up after $((SECONDS - begin)) s ($accel, pid $(host_pid))"
}

down() {
    local pid tries=0
    if pid=$(host_pid); then
        kill "$pid"
        while host_pid > /dev/null; do
            [ $((tries += 1)) -lt 100 ] || { kill -KILL "$pid" && tries=0; }
            sleep 0.1
        done
        say "host '$INSTANCE' (pid $pid) is down"
    fi
    rm -f "$RUN/pid" "$RUN"/command.*
}

status() {
    local pid
    if ! pid=$(host_pid); then
        echo "host '$INSTANCE' is down; start it with: $TESTBED_DIR/testbed up"
        return 3
    fi
    echo "host '$INSTANCE' is up since $(ps -o lstart= -p "$pid"), accel $(cat "$RUN/accel"), pid $pid, share $SHARE"
}
