# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Boots a kernel with a script as its only program, on an emulated machine, and prints what the script prints.

# make_initramfs KERNEL SCRIPT OUT FILE...: busybox, KVM, the script, and the files in /t.
make_initramfs() {
	local tree script=$2 out=$3 modules=$KERNELS/$1/modules
	shift 3
	tree=$(mktemp -d)
	mkdir "$tree/bin" "$tree/t"
	cp /bin/busybox "$tree/bin/busybox"
	cp -r "$modules" "$tree/modules"
	[ -z "${BED_KVM:-}" ] || cp "$BED_KVM"/*.ko "$tree/modules/"
	cp "$script" "$tree/script"
	cp "$@" "$tree/t/"
	install -m 755 "$BED/init" "$tree/init"
	(cd "$tree" && find . | cpio --quiet -o -H newc -R 0:0) > "$out"
	rm -rf "$tree"
}

# watch_console PID SECONDS FILE: print what the script writes to FILE while PID lives; its exit code, 125 if it never ends.
watch_console() {
	local line shown=
	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		*BED-BEGIN*) shown=yes ;;
		*BED-END*) return "${line##* }" ;;
		*) [ -z "$shown" ] || printf '%s\n' "$line" ;;
		esac
	done < <(timeout "$2" tail -n +1 -s 0.2 -f --pid="$1" "$3")
	return 125
}

# Kernel options that keep CPU 1 free of ticks, and of all that is not put there.
TICK_FREE="nohz_full=1 isolcpus=nohz,domain,1 rcu_nocbs=1"

# What differs from the usual host is in BED_LA57 (+), BED_MEMORY (MiB), BED_CPUS (of the AMD host), BED_IPS (instructions a second of the
# Intel host's clock), BED_KVM (a folder of other kvm*.ko) and BED_APPEND (kernel options; MODULE.OPTION=VALUE goes to KVM's modules too).

# Neither host's CPU has fast strings: what copies sixty bytes at a time in a real one copies one in an emulator.
# A watchdog of usual patience barks at an emulator that is short of CPU.
# boot_amd KERNEL INITRD SECONDS: SVM and NPT under QEMU's emulation; returns the script's exit code, 125 if it never ended.
boot_amd() {
	local console status pid
	console=$(mktemp)
	"$("$HERE/../../testbed/testbed" emulator)" -accel tcg,thread=multi,tb-size=512 -cpu "max,${BED_LA57:--}la57,+svm,+npt,-erms,-fsrm" -machine q35 -smp "${BED_CPUS:-2}" -m "${BED_MEMORY:-1536}" \
		-nodefaults -display none -no-reboot -kernel "$KERNELS/$1/vmlinuz" -initrd "$2" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120 ${BED_APPEND:-}" \
		-d cpu_reset -D "$console.cpu" -serial "file:$console" < /dev/null > "$console.qemu" 2>&1 &
	pid=$!
	watch_console $pid "$3" "$console"
	status=$?
	kill "$pid" 2> /dev/null
	wait "$pid" 2> /dev/null
	if [ $status = 125 ]; then
		say "the host died or hung; the end of its console:"
		tail -n 30 "$console" "$console.qemu" >&2
		say "the CPUs' last reset, which is a triple fault if it is not that of the start:"
		tail -n 60 "$console.cpu" | grep -E 'Reset|Triple|RIP|CR2' >&2
	fi
	rm -f "$console" "$console.qemu" "$console.cpu"
	return $status
}

# boot_intel KERNEL INITRD SECONDS: VMX and EPT in Bochs, from a CD; returns as boot_amd does.
boot_intel() {
	local work status pid
	work=$(mktemp -d)
	mkdir "$work/cd"
	python3 "$BED/flat-kernel.py" "$KERNELS/$1/vmlinuz" "$BED/flat.S" "$work/cd/vmlinuz" || return 125
	cp "$2" "$work/cd/initrd"
	cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/cd/"
	cat > "$work/cd/isolinux.cfg" <<CONFIG
DEFAULT linux
PROMPT 0
LABEL linux
 KERNEL /vmlinuz
 INITRD /initrd
 APPEND console=ttyS0,115200 nokaslr mitigations=off tsc=reliable no_timer_check lpj=4000000 clocksource=tsc panic=-1 quiet loglevel=4 cryptomgr.notests audit=0 lsm= clearcpuid=erms ${BED_APPEND:-}
CONFIG
	xorriso -as mkisofs -quiet -o "$work/cd.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$work/cd" 2> "$work/log" ||
		die "xorriso: $(tail -n 1 "$work/log")"
	: > "$work/console"
	cat > "$work/bochsrc" <<CONFIG
megs: ${BED_MEMORY:-1024}
cpu: model=corei7_haswell_4770, count=2, ips=${BED_IPS:-100000000}, reset_on_triple_fault=0, ignore_bad_msrs=1
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$work/cd.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/console
display_library: rfb, options="timeout=0"
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
clock: sync=none, time0=local
log: $work/log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
CONFIG
	echo c > "$work/continue"	# Debian's Bochs starts in its debugger
	# In a network of its own: its screen listens for VNC.
	unshare --net bochs -q -f "$work/bochsrc" -rc "$work/continue" < /dev/null > "$work/bochs.out" 2>&1 &
	pid=$!
	watch_console $pid "$3" "$work/console"
	status=$?
	kill "$pid" 2> /dev/null
	wait "$pid" 2> /dev/null
	if [ $status = 125 ]; then
		say "the host died or hung; the end of its console:"
		tail -n 30 "$work/console" "$work/bochs.out" >&2
	fi
	rm -rf "$work"
	return $status
}
