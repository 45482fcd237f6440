#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make bench-peers` does in the emulated host:
#   host.sh room MIB                leave about MIB of node 0 free for a guest that is to start
#   host.sh settle GUEST MIB        have all of the guest on node 1, and leave it MIB of node 0 to be promoted to
#   host.sh start MANAGER GUEST MIB have damon, damon-fine, numab or virttier manage both nodes; none: nobody
#   host.sh stop MANAGER
#   host.sh watch GUEST MIB SECONDS DIR EVERY BYTE SENT
#                                   read where its pages are every two seconds into DIR/N.pages, send it BYTE every EVERY seconds (0: never),
#                                   which it was sent SENT times before, and print what was used meanwhile, and
#                                   what was moved since start: "NAME VALUE" lines; meanwhile what the guest has of node 0 and may yet get
#                                   there is held at MIB together
set -eu
damon=/sys/kernel/mm/damon/admin/kdamonds
node0=/sys/devices/system/node/node0
huge=$node0/hugepages/hugepages-2048kB/nr_hugepages
filler=/run/filler/pages

# kept: MiB of node 0 that promotion by the kernel leaves free: it stops at the watermark "promo".
kept() { awk '$1 == "Node" { here = $2 == "0," } here && $1 == "promo" { pages += $2 } END { print int(pages / 256) + 1 }' /proc/zoneinfo; }
free() { awk '$3 == "MemFree:" { print int($4 / 1024) }' $node0/meminfo; }
total() { awk '$3 == "MemTotal:" { print int($4 / 1024) }' $node0/meminfo; }

# take MIB: hugetlb pages, which nobody uses, take as much of node 0 besides what they have; below 0 they give. They need 2 MiB in one piece,
# which there are fewer of than room.
take() {
    want=$(($(cat $huge) + $1 / 2))
    for _ in 1 2 3; do
        echo 1 > /proc/sys/vm/compact_memory
        echo $want > $huge
        [ "$(cat $huge)" -lt $want ] || break
    done
}

room() {
    echo 0 > $huge
    rm -f $filler
    echo 3 > /proc/sys/vm/drop_caches
    # QEMU's own pages come on top.
    take $(($(free) - $(kept) - $1 - 64))
}

# Where a guest begins is chance otherwise, and what has filled node 0 would have to go first.
settle() {
    rm -f $filler
    migratepages "$(cat "/run/libvirt/qemu/$1.pid")" 0 1
    take $(($(free) - $(kept) - $2))
    echo "# settled: $(free) MiB of node 0 are free, of which the kernel keeps $(kept)"
}

# memcg GUEST: its memory cgroup. The memory of QEMU's threads is charged to the innermost one that counts memory.
memcg() {
    machine=$(sed 's/^0:://' "/proc/$(cat "/run/libvirt/qemu/$1.pid")/cgroup")
    while [ ! -e "/sys/fs/cgroup$machine/memory.current" ]; do
        machine=${machine%/*}
    done
    echo "$machine"
}

# hold GUEST MIB: page cache that is dropped or demoted, and processes that come and go, make room on node 0, or take it: so that all managers have
# the same, a file of ramfs, which is never reclaimed, takes what the guest would get beyond MIB, or gives back what others took.
hold() {
    stat=/sys/fs/cgroup$(memcg "$1")/memory.numa_stat
    mkdir -p "${filler%/*}"
    mountpoint -q "${filler%/*}" || mount -t ramfs ramfs "${filler%/*}"
    touch $filler
    while :; do
        fast=$(awk '$1 == "anon" { sub("N0=", "", $2); print int($2 / 1048576) }' "$stat")
        room=$(($(free) - $(kept)))
        spare=$((room + fast - $2))
        # Not for the last MiB, for which there may be no page above the watermarks, so that the other node would give it.
        if [ $spare -ge 2 ] && [ $room -ge 2 ]; then
            # Not bound to the node, which could end in the OOM killer's hands, and that would end the guest.
            numactl --preferred=0 dd if=/dev/zero of=$filler bs=1M count=$((spare < room ? spare : room)) oflag=append conv=notrunc status=none
        elif [ $spare -lt 0 ] && [ -s $filler ]; then
            size=$(($(stat -c %s $filler) + spare * 1048576))
            truncate -s $((size > 0 ? size : 0)) $filler
        elif [ $spare -lt -1 ]; then
            echo $(($(cat $huge) - 1)) > $huge
        fi
        sleep .5
    done
}

# ranges NODE: its physical memory, "START END" lines, neighbours put together.
ranges() {
    size=$((0x$(cat /sys/devices/system/memory/block_size_bytes)))
    for block in /sys/devices/system/node/node"$1"/memory[0-9]*; do
        echo "${block##*/memory}"
    done | sort -n | awk -v size=$size '
        NR > 1 && $1 != last + 1 { printf "%d %d\n", first * size, (last + 1) * size }
        NR == 1 || $1 != last + 1 { first = $1 }
        { last = $1 }
        END { printf "%d %d\n", first * size, (last + 1) * size }'
}

# kdamond N FROM ACTION TO METRIC VALUE LEAST MOST YOUNG: one that watches node FROM and moves from it, by the recipe of DAMON's authors (the
# kernel's samples/damon/mtier.c): regions with LEAST to MOST accesses, of these only the guest's pages (/run/memcg), and only those accessed
# since (YOUNG=Y) or only the others (N), a goal for what the guest has of node 0, and at most 200 MiB a second.
kdamond() {
    echo 1 > "$damon/$1/contexts/nr_contexts"
    cd "$damon/$1/contexts/0"
    echo paddr > operations
    echo 1 > targets/nr_targets
    ranges "$2" > /run/ranges
    wc -l < /run/ranges > targets/0/regions/nr_regions
    n=0
    while read -r start end; do
        echo "$start" > targets/0/regions/$n/start
        echo "$end" > targets/0/regions/$n/end
        n=$((n + 1))
    done < /run/ranges
    echo 5000 > monitoring_attrs/intervals/sample_us
    echo 100000 > monitoring_attrs/intervals/aggr_us
    echo 60000000 > monitoring_attrs/intervals/update_us
    if [ -n "$fine" ]; then
        echo 5000 > monitoring_attrs/nr_regions/max
        echo 1000 > monitoring_attrs/nr_regions/min
    else
        echo 10 > monitoring_attrs/nr_regions/min
        echo 1000 > monitoring_attrs/nr_regions/max
        echo 400 > monitoring_attrs/intervals/intervals_goal/access_bp
        echo 3 > monitoring_attrs/intervals/intervals_goal/aggrs
        echo 5000 > monitoring_attrs/intervals/intervals_goal/min_sample_us
        echo 10000000 > monitoring_attrs/intervals/intervals_goal/max_sample_us
    fi
    echo 1 > schemes/nr_schemes
    echo "$3" > schemes/0/action
    echo "$4" > schemes/0/target_nid
    echo 1000000 > schemes/0/apply_interval_us
    echo 4096 > schemes/0/access_pattern/sz/min
    echo 18446744073709551615 > schemes/0/access_pattern/sz/max
    echo "$7" > schemes/0/access_pattern/nr_accesses/min
    echo "$8" > schemes/0/access_pattern/nr_accesses/max
    echo 0 > schemes/0/access_pattern/age/min
    echo 4294967295 > schemes/0/access_pattern/age/max
    echo $((200 << 20)) > schemes/0/quotas/bytes
    echo 1000 > schemes/0/quotas/reset_interval_ms
    # The other tuner raises the quota by the share of the goal that is missing, each second: from one byte to one page in a quarter of an
    # hour where .8 % are. This one, of 7.1, uses all of it until the goal is met.
    [ ! -e schemes/0/quotas/goal_tuner ] || echo temporal > schemes/0/quotas/goal_tuner
    echo 0 > schemes/0/quotas/weights/sz_permil
    echo 100 > schemes/0/quotas/weights/nr_accesses_permil
    echo 100 > schemes/0/quotas/weights/age_permil
    echo 1 > schemes/0/quotas/goals/nr_goals
    echo "$5" > schemes/0/quotas/goals/0/target_metric
    echo "$6" > schemes/0/quotas/goals/0/target_value
    echo 0 > schemes/0/quotas/goals/0/nid
    cat /run/memcg > schemes/0/quotas/goals/0/path
    filters=schemes/0/core_filters
    [ ! -d schemes/0/ops_filters ] || filters=schemes/0/ops_filters
    echo 2 > "$filters"/nr_filters
    echo memcg > "$filters"/0/type
    cat /run/memcg > "$filters"/0/memcg_path
    echo N > "$filters"/0/matching
    echo N > "$filters"/0/allow
    echo young > "$filters"/1/type
    echo Y > "$filters"/1/matching
    echo "$9" > "$filters"/1/allow
}

start_damon() {
    [ ! -e /sys/module/damon_stat/parameters/enabled ] || echo N > /sys/module/damon_stat/parameters/enabled
    echo 2 > $damon/nr_kdamonds
    # A goal for all of node 0 would have the guest take the place of page cache that is dropped. Some overlap of the two goals as in the authors'
    # recipe.
    bp=$((budget * 10000 / $(total)))
    kdamond 0 1 migrate_hot 0 node_memcg_used_bp $((bp + 20)) 1 4294967295 Y
    kdamond 1 0 migrate_cold 1 node_memcg_free_bp $((10000 - bp + 20)) 0 0 N
    echo on > $damon/0/state
    echo on > $damon/1/state
}

# told N: what kdamond N has done and to what it has tuned itself.
told() {
    for what in update_schemes_stats update_tuned_intervals update_schemes_effective_quotas; do
        echo $what > "$damon/$1/state" || echo "# kdamond $1: no $what"
    done
    context=$damon/$1/contexts/0
    echo "# kdamond $1: $(cat "$context/schemes/0/action"), tried $(cat "$context/schemes/0/stats/sz_tried") bytes in" \
        "$(cat "$context/schemes/0/stats/nr_tried") regions, applied $(cat "$context/schemes/0/stats/sz_applied")," \
        "quota $(cat "$context/schemes/0/quotas/effective_bytes") bytes, exceeded $(cat "$context/schemes/0/stats/qt_exceeds") times;" \
        "samples every $(cat "$context/monitoring_attrs/intervals/sample_us") us," \
        "aggregated in $(cat "$context/monitoring_attrs/intervals/aggr_us") us"
}

start() {
    fine=
    memcg "$2" > /run/memcg
    budget=$3
    migrated > /run/moved
    case $1 in
        none) ;;
        damon) start_damon ;;
        damon-fine) fine=yes && start_damon ;;
        numab)
            echo 1 > /sys/kernel/mm/numa/demotion_enabled
            # Tasks are scanned by the CPU time that they take: for one that sleeps much that is seldom.
            echo 100 > /sys/kernel/debug/sched/numa_balancing/scan_delay_ms
            echo 100 > /sys/kernel/debug/sched/numa_balancing/scan_period_min_ms
            echo 1000 > /sys/kernel/debug/sched/numa_balancing/scan_period_max_ms
            echo 1024 > /sys/kernel/debug/sched/numa_balancing/scan_size_mb
            echo 200 > /proc/sys/kernel/numa_balancing_promote_rate_limit_MBps
            echo 2 > /proc/sys/kernel/numa_balancing
            ;;
        virttier) systemctl start virttier ;;
        *) echo "host.sh: start '$1'?" >&2 && exit 2 ;;
    esac
}

stop() {
    case $1 in
        damon*)
            told 0
            told 1
            echo off > $damon/0/state
            echo off > $damon/1/state
            echo 0 > $damon/nr_kdamonds
            ;;
        numab)
            echo 0 > /proc/sys/kernel/numa_balancing
            echo 0 > /sys/kernel/mm/numa/demotion_enabled
            ;;
        virttier) systemctl stop virttier ;;
    esac
}

# Milliseconds of CPU so far: of kernel threads that only work for the management of memory, and of the agent with what the module does for it.
threads_ms() {
    for task in /proc/[0-9]*; do
        case $(cat "$task/comm" 2> /dev/null) in
            kdamond* | kswapd*) cat "$task/schedstat" ;;
            *kvm_ept_sample*) cat "$task/schedstat" ;;
        esac
    done | awk '{ ns += $1 } END { printf "%d\n", ns / 1e6 }'
}
agent_ms() {
    awk '$1 == "usage_usec" { us = $2 } END { printf "%d\n", us / 1000 }' /sys/fs/cgroup/system.slice/virttier.service/cpu.stat 2> /dev/null || echo 0
}
# Of the guest's process in the kernel: faults that it takes for whoever manages its memory, and what the kernel does in it by the way.
guest_ms() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $13 * 10 }'; }
migrated() { awk '$1 == "pgmigrate_success" { print $2 }' /proc/vmstat; }
now_ms() { date +%s%3N; }

watch() {
    guest=$1 seconds=$3 dir=$4 every=$5 byte=$6 sent=$7
    hold "$guest" "$2" &
    holder=$!
    trap 'kill $holder' EXIT
    pid=$(cat "/run/libvirt/qemu/$guest.pid")
    mkdir -p "$dir"
    begin=$(now_ms) next=$((begin + every * 1000)) n=0
    threads=$(threads_ms) agent=$(agent_ms) own=$(guest_ms "$pid") moved=$(cat /run/moved)
    half=0 late=0
    while [ $(($(now_ms) - begin)) -lt $((seconds * 1000)) ]; do
        n=$((n + 1))
        if [ "$half" = 0 ] && [ $(($(now_ms) - begin)) -ge $((seconds * 500)) ]; then
            half=$(now_ms) late=$(($(threads_ms) + $(agent_ms)))
        fi
        echo "$sent" > "$dir/$n.sent"
        residency "$pid" --pages "$dir/$n.pages" > /dev/null
        sleep 2
        if [ "$every" -gt 0 ] && [ "$(now_ms)" -ge $next ]; then
            printf '%s' "$byte" 1<> "/var/lib/libvirt/testbed/$guest.com1.in"
            next=$(($(now_ms) + every * 1000)) sent=$((sent + 1))
        fi
    done
    late=$(($(threads_ms) + $(agent_ms) - late)) half=$(($(now_ms) - half))
    threads=$(($(threads_ms) - threads)) agent=$(($(agent_ms) - agent)) own=$(($(guest_ms "$pid") - own)) moved=$(($(migrated) - moved))
    echo "readings $n"
    echo "elapsed $(($(now_ms) - begin))"
    echo "threads $threads"
    echo "agent $agent"
    echo "guest $own"
    echo "late $late"
    echo "half $half"
    echo "sent $sent"
    echo "moved $moved"
}

verb=$1
shift
case $verb in
    room | settle | start | stop | watch) "$verb" "$@" ;;
    *) echo "host.sh: '$verb'?" >&2 && exit 2 ;;
esac
