# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The host's image, in two layers, each cached under a hash of its inputs:
#   base-HASH/    the root file system from Debian packages, its kernel, the modules of the initrd   (two minutes)
#   more-HASH/    the same with more packages (TESTBED_PACKAGES); trixie-HASH/ and the like, of another release (TESTBED_DEBIAN)
#   initrd-HASH   our own initrd: it finds the root, and lays over it what this repository adds      (a second)
# Everything is made beside its final name and renamed into place, so a killed build leaves no half image.

DEBIAN=${TESTBED_DEBIAN:-bookworm}
SUITE=${DEBIAN%-backports}
INITRD_MODULES="virtio_pci virtio_blk ext4 9pnet_virtio 9p"

# digest PATH...: one hash over names and contents, relative to the test bed's folder.
digest() {
    (cd "$TESTBED_DIR" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-16
}

# base_kind: base; more where TESTBED_PACKAGES asks for more; of another release by its name.
base_kind() {
    case $DEBIAN/${TESTBED_PACKAGES:-} in
        bookworm/) echo base ;;
        bookworm/*) echo more ;;
        *) echo "$DEBIAN" ;;
    esac
}
base_dir() { echo "$IMAGES/$(base_kind)-$({ digest image/packages.txt lib/image.sh; echo "${TESTBED_PACKAGES:-} $DEBIAN"; } | sha256sum | cut -c1-16)"; }
# initrd_kind: likewise; it has modules of the base's kernel.
initrd_kind() { [ "$DEBIAN" = bookworm ] && echo initrd || echo "initrd.$DEBIAN"; }
initrd_file() { echo "$IMAGES/$(initrd_kind)-$(digest image lib/image.sh guests tools)"; }

# apt_sources: apt sources for $SUITE, and its backports where these are asked for, from the mirror of the machine's own, as one-line
# entries. Both formats of apt are read. For another release than the machine's the suite's name is put into those of Debian 12.
apt_sources() {
    local files=() f
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ -r "$f" ] && files+=("$f")
    done
    [ ${#files[@]} -eq 0 ] || awk -v suite=bookworm -f "$TESTBED_DIR/lib/apt-sources.awk" "${files[@]}" |
        sed "s/ bookworm/ $SUITE/; / $SUITE main\$/ { p; s/ $SUITE main/ $DEBIAN main/ }" | sort -u
}

# step TEXT: the next step of the build, which takes minutes, with its number and the time since the first. Every 15 seconds it
# is told again, so that nobody takes a slow one for a dead one.
step() {
    end_step
    BUILD_STEP=$((BUILD_STEP + 1))
    local name="image, step $BUILD_STEP of $BUILD_STEPS: $1"
    say "$name ($(elapsed))"
    (
        # A sleep of its own would outlive this loop and keep our output open.
        exec {never}<> <(:)
        while ! read -rt 15 -u "$never"; do say "$name ($(elapsed), still at it)"; done
    ) 9>&- &
    BUILD_TICKER=$!
}

end_step() {
    [ -z "${BUILD_TICKER:-}" ] || kill "$BUILD_TICKER" 2> /dev/null || true
    BUILD_TICKER=
}

elapsed() { printf '%d:%02d' $(((SECONDS - BUILD_BEGUN) / 60)) $(((SECONDS - BUILD_BEGUN) % 60)); }

build_root() {
    local root=$1 sources packages
    sources=$(apt_sources)
    [ -n "$sources" ] || die "no apt source for Debian $SUITE (component main) under /etc/apt; add one, then: apt-get update"
    packages=$({ sed 's/#.*//' "$TESTBED_DIR/image/packages.txt"; echo "${TESTBED_PACKAGES:-}"; } | xargs | tr ' ' ,)
    # What backports have is chosen by nobody else; of it the kernel is wanted.
    [ "$DEBIAN" = "$SUITE" ] || packages=${packages/linux-image-amd64/linux-image-amd64\/$DEBIAN}
    # INITRD=No: the kernel's package makes no initrd; ours is smaller and boots faster.
    INITRD=No mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$SUITE" "$root" - <<< "$sources" || die "mmdebstrap failed (its message is above); check: apt-get update"
}

# configure_root DIR: what makes a package tree a quick-booting, password-less test machine.
configure_root() {
    local root=$1 unit
    chroot "$root" passwd --quiet --delete root
    echo testbed > "$root/etc/hostname"
    echo '127.0.0.1 localhost testbed' > "$root/etc/hosts"
    : > "$root/etc/fstab"
    mkdir -p "$root/share" "$root/etc/systemd/system/multi-user.target.wants"
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
        fstrim.timer getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyS1.service \
        libvirt-guests.service systemd-update-utmp.service systemd-random-seed.service; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
}

# unpack_kernel VMLINUZ: the ELF kernel inside a bzImage. The Linux guest boots it by PVH and so saves itself the xz (newer: zstd),
# which an emulated CPU takes long over. Offsets are those of the kernel's Documentation/arch/x86/boot.rst; the payload ends
# with four bytes of size that are not compressed.
unpack_kernel() {
    local setup_sectors offset length
    setup_sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1")
    offset=$(od -An -tu4 -j $((0x248)) -N 4 "$1")
    length=$(od -An -tu4 -j $((0x24c)) -N 4 "$1")
    dd status=none if="$1" bs=1M iflag=skip_bytes,count_bytes \
        skip=$(((setup_sectors + 1) * 512 + offset)) count=$((length - 4)) |
        case $SUITE in bookworm) xz -dc ;; *) zstd -dc ;; esac
}

# save_boot_files ROOT DEST: the kernel, and in load order the modules that the initrd needs.
save_boot_files() {
    local root=$1 dest=$2 version module file
    version=$(basename "$(echo "$root"/lib/modules/*)")
    file=$root/boot/vmlinuz-$version
    [ -e "$file" ] || file=$root/lib/modules/$version/vmlinuz
    cp "$file" "$dest/vmlinuz"
    unpack_kernel "$dest/vmlinuz" > "$root/boot/vmlinux" || die "the payload of vmlinuz-$version is not compressed as that of Debian's $SUITE"
    mkdir "$dest/modules"
    for module in $INITRD_MODULES; do
        modprobe --set-version "$version" --dirname "$root" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
    done | awk '!seen[$0]++' | while read -r file; do
        module=$(basename "${file%.xz}")
        if [ "$module" = "$(basename "$file")" ]; then cp "$file" "$dest/modules/"; else xz -dc "$file" > "$dest/modules/$module"; fi
        echo "$module" >> "$dest/modules/order"
    done
}

build_base() {
    local base=$1 work=$1.partial root=$1.partial/root
    rm -rf "$work"
    mkdir -p "$work"
    step "a Debian host from its packages, about a minute on a quiet machine"
    build_root "$root"
    configure_root "$root"
    step "its kernel and modules"
    save_boot_files "$root" "$work"
    step "its disk"
    truncate -s $(($(du -sm "$root" | cut -f1) + 700))M "$work/root.ext4"
    mke2fs -q -t ext4 -O ^has_journal -d "$root" "$work/root.ext4"
    rm -rf "$root"
    mv "$work" "$base"
}

# enable_units DIR: the units there start with the host. Made here: a copy of the repository may come without its symbolic links.
enable_units() {
    local unit
    mkdir "$1/multi-user.target.wants"
    for unit in "$1"/*.service; do
        ln -s "../${unit##*/}" "$1/multi-user.target.wants/"
    done
}

build_initrd() {
    local base=$1 initrd=$2 work=$2.partial tree=$2.partial/tree
    step "what this repository adds to it"
    rm -rf "$work"
    mkdir -p "$tree"/{bin,lib,proc,sys,dev,newroot}
    cp /bin/busybox "$tree/bin/busybox"
    ln -s busybox "$tree/bin/sh"
    cp -r "$base/modules" "$tree/lib/modules"
    install -m 755 "$TESTBED_DIR/image/initrd-init" "$tree/init"
    cp -r "$TESTBED_DIR/image/overlay" "$tree/overlay"
    enable_units "$tree/overlay/etc/systemd/system"
    make --silent -C "$TESTBED_DIR/guests" OUT="$work/guests" install DESTDIR="$tree/overlay"
    make --silent -C "$TESTBED_DIR/tools" OUT="$work/tools" install DESTDIR="$tree/overlay"
    (cd "$tree" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) > "$work/initrd"
    mv "$work/initrd" "$initrd"
    rm -rf "$work"
}

# drop_others PREFIX KEEP: older images of the same layer go; one that a running host uses stays open to it all the same.
drop_others() {
    local old
    for old in "$IMAGES/$1"-*; do
        [ "$old" = "$2" ] || rm -rf "$old"
    done
}

build() {
    local base initrd emulator
    base=$(base_dir)
    initrd=$(initrd_file)
    emulator=$(emulator_dir)
    if [ -d "$base" ] && [ -f "$initrd" ] && [ -d "$emulator" ]; then return; fi
    [ "$(id -u)" = 0 ] || die "building the image needs root; mend with: sudo $TESTBED_DIR/testbed build"
    need mmdebstrap mmdebstrap
    need mke2fs e2fsprogs
    need cpio cpio
    need busybox busybox-static
    need xz xz-utils
    mkdir -p "$IMAGES"
    # From here a child holds the lock: two builds do not race, and the loser finds everything done.
    (
        flock 9
        BUILD_BEGUN=$SECONDS BUILD_STEP=0 BUILD_STEPS=0
        trap end_step EXIT
        [ -d "$base" ] || BUILD_STEPS=$((BUILD_STEPS + 3))
        [ -f "$initrd" ] || BUILD_STEPS=$((BUILD_STEPS + 1))
        [ -d "$emulator" ] || BUILD_STEPS=$((BUILD_STEPS + 1))
        [ -d "$base" ] || build_base "$base"
        [ -f "$initrd" ] || build_initrd "$base" "$initrd"
        [ -d "$emulator" ] || build_emulator "$emulator"
        drop_others "$(base_kind)" "$base"
        drop_others "$(initrd_kind)" "$initrd"
        drop_others qemu "$emulator"
    ) 9> "$IMAGES/.lock"
}
