# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The emulator of the AMD host: QEMU 10 from Debian's backports, unpacked in the cache and not installed, so that the
# machine's own QEMU stays as it is. Debian 12's QEMU 7.2 now and then lets a nested guest write to memory that is not its
# own when several emulated CPUs run at once: the host's kernel then stops with "corrupted stack end".

EMULATOR_SUITE=$SUITE-backports

emulator_dir() { echo "$IMAGES/qemu-$(digest lib/emulator.sh)"; }

# emulator: the program to start in place of qemu-system-x86_64.
emulator() { echo "$(emulator_dir)/qemu-system-x86_64"; }

build_emulator() {
    local dir=$1 work=$1.partial sources
    step "QEMU from $EMULATOR_SUITE"
    rm -rf "$work"
    mkdir -p "$work"
    # The mirror that carries the suite carries its backports too.
    sources=$(apt_sources)
    sources+=$'\n'$(sed -n "s/ $SUITE main\$/ $EMULATOR_SUITE main/p" <<< "$sources")
    mmdebstrap --quiet --mode=root --variant=extract --include=qemu-system-x86 \
        --aptopt='APT::Install-Recommends "false"' --aptopt="APT::Default-Release \"$EMULATOR_SUITE\"" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$SUITE" "$work/root" - <<< "$sources" || die "QEMU could not be unpacked from $EMULATOR_SUITE (the message is above)"
    cat > "$work/qemu-system-x86_64" << EOF
#!/bin/sh
LD_LIBRARY_PATH=$dir/root/usr/lib/x86_64-linux-gnu:$dir/root/lib/x86_64-linux-gnu exec $dir/root/usr/bin/qemu-system-x86_64 "\$@"
EOF
    chmod 755 "$work/qemu-system-x86_64"
    mv "$work" "$dir"
}
