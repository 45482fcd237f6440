# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The running host: up, run, down, status.

MACHINE=${TESTBED_MACHINE:-one-socket}
NODE0=${TESTBED_NODE0:-2560M}
NODE1=${TESTBED_NODE1:-2048M}
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

# node ID MEBIBYTES [CPUS|near NODE]: adds a node to numa, with processors, or without and behind a node that has some.
node() {
    numa+=(-object "memory-backend-ram,id=m$1,size=${2}M")
    if [ "${3:-}" = near ]; then
        numa+=(-numa "node,nodeid=$1,memdev=m$1,initiator=$4")
    else
        numa+=(-numa "node,nodeid=$1,cpus=$3,memdev=m$1")
    fi
    memory=$((memory + $2))
}

# choose_network: fills network with what QEMU needs so that a port of this machine's loopback is the host's SSH; nothing else of the
# host's network goes anywhere.
choose_network() {
    network=()
    case ${TESTBED_SSH:-} in
        '') ;;
        *[!0-9]*) die "TESTBED_SSH='$TESTBED_SSH' is not the number of a port" 2 ;;
        *) network=(-netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$TESTBED_SSH-10.0.2.15:22" -device "virtio-net-pci,netdev=net") ;;
    esac
}

# distance FROM TO VALUE
distance() { numa+=(-numa "dist,src=$1,dst=$2,val=$3"); }

# choose_machine: fills cpus, memory (MiB) and numa with the processors and nodes of MACHINE. Nodes that have memory and no
# processors are slow tiers. On two sockets guests run on CPU 1 and 2, one on each: CPU 0 is not fit for them (testbed/README.md).
choose_machine() {
    local hmat=()
    cpus=3,sockets=3 memory=0 numa=()
    case $MACHINE in
        one-socket)
            cpus=2
            node 0 "$(mebibytes "$NODE0" TESTBED_NODE0)" 0-1
            node 1 "$(mebibytes "$NODE1" TESTBED_NODE1)" near 0
            distance 0 1 20
            # What the firmware says of the nodes. By latency a write to node 1 loses as much as a read, so that writes weigh
            # the same.
            hmat_entries 0 access-latency latency=100 read-bandwidth bandwidth=20G write-bandwidth bandwidth=20G
            hmat_entries 1 access-latency latency=300 read-bandwidth bandwidth=10G write-bandwidth bandwidth=8G
            numa+=("${hmat[@]}")
            ;;
        two-sockets)
            node 0 1536 0-1 && node 1 768 2 && node 2 768 near 0 && node 3 768 near 1
            distance 0 1 21 && distance 0 2 24 && distance 0 3 34
            distance 1 2 34 && distance 1 3 24 && distance 2 3 44
            ;;
        two-sockets-dram)
            node 0 1536 0-1 && node 1 1024 2
            distance 0 1 21
            ;;
        three-tiers)
            cpus=2
            node 0 1536 0-1 && node 1 192 near 0 && node 2 1024 near 0
            distance 0 1 24 && distance 0 2 40 && distance 1 2 50
            ;;
        *) die "TESTBED_MACHINE='$MACHINE' is unknown; one of: one-socket two-sockets two-sockets-dram three-tiers" 2 ;;
    esac
}

start_qemu() {
    local base=$1 initrd=$2 accel=$3 cpus memory numa network machine
    choose_machine
    choose_network
    if [ "$accel" = kvm ]; then
        machine=(-accel kvm -cpu host)
    else
        machine=(-accel "tcg,thread=multi,tb-size=512" -cpu "max,-la57,+svm,+npt")
    fi
    # cpu_reset: the registers of a host that dies without a word are then in qemu.log.
    # no_timer_check: on a busy machine the check finds no timer in time and the kernel gives up.
    # NUMA balancing would empty the guests' page tables under the sampler.
    # The shell around it stays to tell in qemu.log how it ended: a signal leaves no word elsewhere.
    # shellcheck disable=SC2016
    setsid bash -c '"$@" & echo $! > "$0/pid"; wait $!; echo "$(date -u +%T) the emulator ended with status $?"' "$RUN" \
        "$(emulator)" -name "testbed-$INSTANCE" "${machine[@]}" -machine q35,hmat=on -smp "$cpus" -m "$memory" \
        "${numa[@]}" "${network[@]}" \
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
    echo "$MACHINE" > "$RUN/machine"
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
    echo "host '$INSTANCE' is up since $(ps -o lstart= -p "$pid"), $(cat "$RUN/machine"), accel $(cat "$RUN/accel"), pid $pid, share $SHARE"
}
