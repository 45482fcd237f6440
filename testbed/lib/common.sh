# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Names and helpers that every verb of the test bed shares. Sourced by testbed/testbed.
# shellcheck disable=SC2034  # used by the files sourced after this one

CACHE=${VIRTTIER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virttier}
IMAGES=$CACHE/images
INSTANCE=${TESTBED:-demo}
RUN=$CACHE/run/$INSTANCE
SHARE=$RUN/share
CONSOLE=$RUN/console.log

say() { printf 'testbed: %s\n' "$*" >&2; }

die() {
    say "$1"
    exit "${2:-1}"
}

# need PROGRAM PACKAGE: the program must be installed.
need() {
    command -v "$1" > /dev/null || die "$1 is not installed; mend with: $TESTBED_DIR/install-deps   (package $2)"
}

case $INSTANCE in
    *[!A-Za-z0-9._-]* | .* | '') die "TESTBED='$INSTANCE' is not a usable instance name; use letters, digits, '.', '_' and '-'" 2 ;;
esac
