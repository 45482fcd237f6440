# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A kernel to test on: its image, its KVM modules and a root with its headers to build for it, from Debian's packages.
#   $KERNELS/6.1/release     the kernel's release
#   $KERNELS/6.1/vmlinuz
#   $KERNELS/6.1/modules/    what KVM needs, `order` lists it in load order
#   $KERNELS/6.1/root/       compiler and headers

KERNELS=${VIRTTIER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virttier}/kernels

# suites_of KERNEL: the Debian suites that carry the series; the first is the base system.
suites_of() {
	case ${1%-rt} in
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	7.2 | 7.3) echo trixie trixie-backports ;;
	*) die "no kernel series '$1'; use 6.1, 6.12, 7.2 or 7.3, with -rt for the real-time flavour" ;;
	esac
}

# sources_of SUITE...: apt sources for the suites, from the mirror that this machine uses for its own.
sources_of() {
	local files=() f suite
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
		[ -r "$f" ] && files+=("$f")
	done
	for suite in "$@"; do
		awk -v suite=bookworm -f "$TESTBED_LIB/apt-sources.awk" "${files[@]}" | sed -n "s/ bookworm main\$/ $suite main/p"
	done
}

# build_root KERNEL DIR: a small Debian with the headers of the series' newest kernel, and make and gcc for them.
build_root() {
	local suites flavour=amd64
	read -ra suites <<< "$(suites_of "$1")"
	[ "$1" = "${1%-rt}" ] || flavour=rt-amd64
	SERIES=${1%-rt} FLAVOUR=$flavour mmdebstrap --quiet --mode=root --variant=minbase --include=make,gcc,sparse \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--skip=cleanup/tmp --customize-hook="$BED/add-kernel" \
		"${suites[0]}" "$2" - <<< "$(sources_of "${suites[@]}")" > "$2.log" 2>&1
}

# save_modules IMAGE RELEASE DIR: KVM of both vendors with what it depends on, uncompressed.
save_modules() {
	local module file name
	mkdir -p "$3"
	depmod -b "$1" "$2"
	for module in kvm-amd kvm-intel; do
		modprobe --set-version "$2" --dirname "$1" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
	done | awk '!seen[$0]++' | while read -r file; do
		name=$(basename "${file%.xz}")
		if [ "$file" = "${file%.xz}" ]; then cp "$file" "$3/$name"; else xz -dc "$file" > "$3/$name"; fi
		echo "$name" >> "$3/order"
	done
}

# debug_kernel KERNEL: makes $KERNELS/KERNEL-debug: the series from source, as bed/debug.config says. Hours on a slow machine;
# what an interrupted build left is used.
debug_kernel() {
	local dir=$KERNELS/$1-debug work=$KERNELS/$1-debug.partial root=$KERNELS/$1/root release
	kernel "$1"
	say "building a debug kernel $1, once (bed/debug.config; a long build) ..."
	cp "$BED/debug.config" "$BED/debug-kernel" "$root/"
	release=$(unshare --mount sh -c "mount -t proc proc '$root/proc' && exec chroot '$root' nice /debug-kernel $1" 2> "$root/debug-kernel.log" | tail -n 1)
	[ -d "$root/usr/src/linux-headers-$release/arch" ] || die "no debug kernel: $(tail -n 3 "$root/debug-kernel.log")"
	rm -rf "$work"
	mkdir -p "$work"
	cp "$root/usr/src/linux-headers-$release/arch/x86/boot/bzImage" "$work/vmlinuz"
	save_modules "$root/debug-image" "$release" "$work/modules"
	ln -s "../$1/root" "$work/root"
	echo "$release" > "$work/release"
	mv "$work" "$dir"
}

# kernel KERNEL: makes $KERNELS/KERNEL unless it is there. Two runs at once do not disturb each other: the later one finds it done.
kernel() {
	[ -d "$KERNELS/$1" ] && return
	case $1 in *-debug) debug_kernel "${1%-debug}"; return ;; esac
	mkdir -p "$KERNELS"
	(
		flock 9
		[ -d "$KERNELS/$1" ] || fetch_kernel "$1"
	) 9> "$KERNELS/$1.lock" || exit
}

fetch_kernel() {
	local dir=$KERNELS/$1 work=$KERNELS/$1.partial release package
	say "fetching kernel $1 and its headers from Debian, once ..."
	suites_of "$1" > /dev/null
	rm -rf "$work"
	mkdir -p "$work"
	build_root "$1" "$work/root" || die "no root for kernel $1: $(tail -n 3 "$work/root.log")"
	release=$(cat "$work/root/release")
	mkdir "$work/image"
	for package in "$work"/root/tmp/*.deb; do
		dpkg -x "$package" "$work/image"
		rm "$package"
	done
	[ -e "$work/image/lib" ] || ln -s usr/lib "$work/image/lib"
	cp "$work/image/boot/vmlinuz-$release" "$work/vmlinuz" 2> /dev/null ||
		cp "$work/image/lib/modules/$release/vmlinuz" "$work/vmlinuz" || die "no image of kernel $release"
	save_modules "$work/image" "$release" "$work/modules"
	rm -rf "$work/image"
	echo "$release" > "$work/release"
	mv "$work" "$dir"
}

# make_in_root KERNEL DIR [ARGUMENT...]: make in a folder of the kernel's root, for that kernel.
make_in_root() {
	local root=$KERNELS/$1/root dir=$2 release
	release=$(cat "$KERNELS/$1/release")
	shift 2
	# objtool reads /proc
	unshare --mount sh -c "mount -t proc proc '$root/proc' && exec chroot '$root' \
		make -C /${dir##*/} KDIR=/usr/src/linux-headers-$release $*" 2>&1
}

# build_module KERNEL SOURCE OUT [ARGUMENT...]: the module in the folder SOURCE for that kernel, into the folder OUT.
build_module() {
	local kernel=$1 root=$KERNELS/$1/root source=$2 out=$3 dir status
	shift 3
	dir=$(mktemp -d "$root/module.XXXXXX")	# of its own: another test may build at the same time
	cp -r "$source/." "$dir/"
	cmp -s "$BED/sparse.h" "$root/sparse.h" || cp "$BED/sparse.h" "$root/"
	make_in_root "$kernel" "$dir" "$@" && cp "$dir"/*.ko "$out/"
	status=$?
	rm -rf "$dir"
	return $status
}

# build_changed KERNEL SOURCE OUT: for each line "NAME|FILE|SCRIPT" of the input the module in the folder SOURCE with FILE as sed's SCRIPT
# makes it, as OUT/NAME.ko. One after the other in one folder: most of it is compiled once.
build_changed() {
	local root=$KERNELS/$1/root dir name file script last=
	dir=$(mktemp -d "$root/module.XXXXXX")
	while IFS='|' read -r name file script; do
		cp -rp "$2/." "$dir/"
		sed -i "$script" "$dir/$file"
		! cmp -s "$dir/$file" "$2/$file" || die "$name: sed changes nothing in $file"
		[ -z "$last" ] || touch "$dir/$last"
		last=$file
		make_in_root "$1" "$dir" > "$dir.log" < /dev/null || die "$name does not build: $(tail -n 1 "$dir.log")"
		cp "$dir"/*.ko "$3/$name.ko"
	done
	rm -rf "$dir" "$dir.log"
}

# hooked_kvm KERNEL: the folder of kvm*.ko with the fault hook of kernel_patch/, built unless it is there.
hooked_kvm() {
	local root=$KERNELS/$1/root release source=
	release=$(cat "$KERNELS/$1/release")
	case $1 in *-debug) source=/usr/src/debug-${1%-debug} ;; esac
	if [ ! -f "$root/kvm-hook/$release/kvm.ko" ] || [ "$HERE/../../kernel_patch" -nt "$root/kvm-hook/$release" ]; then
		say "building KVM with the fault hook for $release, once ..."
		rm -rf "$root/kernel_patch"
		cp -r "$HERE/../../kernel_patch" "$root/kernel_patch"
		unshare --mount sh -c "mount -t proc proc '$root/proc' && exec chroot '$root' sh -c '
			apt-get -q update && apt-get -q -y --no-install-recommends install patch xz-utils kmod &&
			VIRTTIER_HOOK_SOURCE=$source VIRTTIER_HOOK_DIR=/kvm-hook JOBS=${JOBS:-$(nproc)} /kernel_patch/kvm-hook build $release'" > "$root/kvm-hook.log" 2>&1 ||
			die "KVM with the fault hook does not build for $1: $(tail -n 3 "$root/kvm-hook.log")"
	fi
	echo "$root/kvm-hook/$release"
}

# kvm_selftests KERNEL: the folder of KVM's own tests from Debian's source of that series, built unless they are there.
kvm_selftests() {
	local root=$KERNELS/$1/root series=${1%-*}
	if [ ! -d "$root/kvm-selftests" ] || ! cmp -s "$BED/kvm-selftests" "$root/build-kvm-selftests"; then
		say "building KVM's own tests of $series, once ..."
		cp "$BED/kvm-selftests" "$root/build-kvm-selftests"
		unshare --mount sh -c "mount -t proc proc '$root/proc' && exec chroot '$root' nice /build-kvm-selftests $series" > "$root/kvm-selftests.log" 2>&1 ||
			die "KVM's own tests do not build for $1: $(tail -n 3 "$root/kvm-selftests.log")"
	fi
	echo "$root/kvm-selftests"
}
