#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# WEFT_NICS on a machine with many NICs: names, PCI addresses and numbers select the right NICs, in whatever order the
# provider lists them. An entry that matches no NIC causes one warning, which lists the existing NICs.
# shellcheck disable=SC2016 # backquotes are what Weft prints
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
use_fault_provider
export WEFT_RAILS=1
get=tests/bench/net_perf_json

# 32 NICs at 0000:4f:00.0 to 0000:6e:00.0, listed in reverse order: number 0 is fault31.
FAULT_NICS=$(for ((bus = 0x6e; bus >= 0x4f; bus--)); do printf '0000:%02x:00.0@100000\n' $bus; done | paste -sd,)
export FAULT_NICS

# The NICs of the devices, in order.
names() { # WEFT_NICS
	local i n
	WEFT_NICS=$1 src/weft-info --json >"$tmp/json" 2>"$tmp/err"
	n=$($get "$tmp/json" devices)
	for ((i = 0; i < n; i++)); do $get "$tmp/json" devices $i nic; done | paste -sd' '
}

takes() { # WEFT_NICS, names expected
	local got
	got=$(names "$1")
	if [ "$got" = "$2" ] && [ ! -s "$tmp/err" ]; then
		ok "WEFT_NICS=$1"
	else
		bad "WEFT_NICS=$1" "got: $got" "want: $2" "$(cat "$tmp/err")"
	fi
}

warns() { # WEFT_NICS, names expected, words that the only line must have
	local got word
	got=$(names "$1")
	for word in "${@:3}"; do
		grep -qF -- "$word" "$tmp/err" || got="$got; not said: $word"
	done
	if [ "$got" = "$2" ] && [ "$(wc -l <"$tmp/err")" = 1 ]; then
		ok "WEFT_NICS=$1 takes the rest and warns once"
	else
		bad "WEFT_NICS=$1 takes the rest and warns once" "got: $got" "$(cat "$tmp/err")"
	fi
}

takes fault31 fault31
takes 'fault2?' "$(seq -f fault%g 29 -1 20 | paste -sd' ')"
takes 0000:4f:00.0 fault31
takes 50:00.0,6E:00.0 'fault30 fault0'
takes '5[0-1]:*' 'fault30 fault29'
takes '#0' fault31
takes '#0,#30-31' 'fault31 fault1 fault0'
takes '^#4-31' 'fault31 fault30 fault29 fault28'
takes '#0-3,^fault30,^52:*' 'fault31 fault29'
takes 'fault*' "$(seq -f fault%g 31 -1 0 | paste -sd' ')"
warns '#0,eth9' fault31 '`eth9` means none' '`#0` means 1' '#0 fault31 (0000:4f:00.0)' more
warns '#0,^0000:zz:00.0' fault31 '`^0000:zz:00.0` means none'

WEFT_NICS='#77,nosuch' src/weft-info >"$tmp/out" 2>"$tmp/err"
status=$?
if [ $status = 2 ] && [ "$(wc -l <"$tmp/err")" = 1 ] && grep -qF 'WEFT_NICS=#77,nosuch leaves no NIC' "$tmp/err" &&
	grep -qF '`nosuch` means none; there are #0 fault31 (0000:4f:00.0)' "$tmp/err"; then
	ok "a list that leaves nothing is an error that names the list, its items and the NICs"
else
	bad "a list that leaves nothing is an error that names the list, its items and the NICs" "exit $status" \
		"$(cat "$tmp/err")"
fi

# WEFT_NICS accepts the names that weft-info shows.
WEFT_NICS='^#1' src/weft-info >"$tmp/out" 2>&1
if grep -q '^  \* #0 *fault31 *PCI 0000:4f:00.0, 127.0.0.1$' "$tmp/out" &&
	grep -q '^    #1 *fault30 *PCI 0000:50:00.0.*: left out: by WEFT_NICS$' "$tmp/out"; then
	ok "weft-info lists all NICs by number, and which are left out"
else
	bad "weft-info lists all NICs by number, and which are left out" "$(grep '#' "$tmp/out")"
fi
tap_done
