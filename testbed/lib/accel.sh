# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Emulation (TCG) or the machine's own nested virtualization (KVM)?

# kvm_refusal: why KVM can't carry an AMD host here, in a few words; nothing when it can.
kvm_refusal() {
    if ! { : <> /dev/kvm; } 2> /dev/null; then
        echo "/dev/kvm can't be opened"
    elif ! grep -qw svm /proc/cpuinfo; then
        echo "the CPU offers no SVM"
    elif ! grep -qs '[1Y]' /sys/module/kvm_amd/parameters/nested; then
        echo "kvm_amd has nested=0"
    elif ! probe_rom_runs; then
        echo "a probe guest found no working nested SVM"
    fi
}

# probe_rom_runs: a 64 KiB ROM under KVM looks for SVM by CPUID and says so on the debug-exit port: 42 becomes status 85.
probe_rom_runs() {
    local rom=$RUN/probe.rom status=0
    make --silent -C "$TESTBED_DIR/guests" OUT="$RUN/guests" "$RUN/guests/probe.rom" && rom=$RUN/guests/probe.rom
    timeout 5 "$(emulator)" -accel kvm -cpu host -machine pc -m 16 -nodefaults -display none -no-reboot \
        -bios "$rom" -device isa-debug-exit,iobase=0xf4,iosize=4 > /dev/null 2>&1 || status=$?
    [ $status = 85 ]
}

choose_accel() {
    local refusal
    case ${TESTBED_ACCEL:-} in
        tcg | kvm) echo "$TESTBED_ACCEL" ;;
        '')
            refusal=$(kvm_refusal)
            if [ -z "$refusal" ]; then
                echo kvm
            else
                say "no nested KVM here ($refusal): emulating with TCG"
                echo tcg
            fi
            ;;
        *) die "TESTBED_ACCEL='$TESTBED_ACCEL' is unknown; use tcg or kvm" 2 ;;
    esac
}
