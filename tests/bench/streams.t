#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several TCP connections to a peer (WEFT_STREAMS) and several NICs in a device of tcp (WEFT_RAILS). Where each connection
# is capped, 8 of them carry 8 times as much. Two NICs, equal or one ten times as fast as the other, carry their sum.
# All figures are ratios within one run; a loaded machine gets several attempts.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/check/netns.bash
. "$here/../check/netns.bash"
# shellcheck source=tests/hosts/pair.bash
. "$here/../hosts/pair.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
perf=benchmarks/sendrecv_perf
capped=$(compgen -G 'tests/bench/.libs/*capped.so' | head -1)
attempts=6
unset FI_TCP_IFACE FI_NET_IFACE WEFT_NICS RANK WORLD_SIZE MASTER_ADDR MASTER_PORT
export LC_ALL=C WEFT_PROVIDER=tcp
work=$(mktemp -d)
trap 'pair_down; rm -rf "$work"' EXIT

at_least() { # value, share, whole
	awk -v a="$1" -v b="$2" -v c="$3" 'BEGIN { exit !(a > 0 && c > 0 && a >= b * c) }'
}

# --- connections with a cap, on loopback ---

capped_rate() { # streams, size
	WEFT_STREAMS=$1 CAPPED_RATE=5000000 LD_PRELOAD=$PWD/$capped timeout 300 "$perf" --ranks 2 --channels 8 --chunk 512K \
		-b "$2" -e "$2" -n 2 -w 1 -c 0 2>"$work/err" | awk '!/^#/ && $1 > 0 && $6 > 0 { print $1 / $6 }'
}

eight_caps() {
	local what="8 capped connections carry 0.9 of 8 caps" one eight try
	if [ -n "${TEST_SANITIZER-}" ] || [ -z "$capped" ]; then
		skip "$what" "needs a library that is preloaded, which the sanitizer refuses"
		return
	fi
	for ((try = 0; try < attempts; try++)); do
		one=$(capped_rate 1 4M)
		eight=$(capped_rate 8 32M)
		at_least "$eight" 7.2 "$one" && break
	done
	if at_least "$one" 10 5; then
		skip "$what" "the kernel does not pace connections here: one carries $one bytes/us of 5"
	elif at_least "$eight" 7.2 "$one"; then
		ok "$what"
	else
		bad "$what" "1 connection: $one bytes/us, 8: $eight" "$(tail -n 5 "$work/err")"
	fi
}

# --- two hosts ---

says() { # description, text, NAME=VALUE...
	local what=$1 text=$2 out
	shift 2
	out=$(on a env "$@" src/weft-info 2>&1)
	if grep -qF "$text" <<<"$out"; then
		ok "$what"
	else
		bad "$what" "weft-info does not say: $text" "$(grep -A8 'Devices' <<<"$out")"
	fi
}

two_nics() { # description, rate and size of e0, of e1, size of both
	local what=$1 e0 e1 both sum try
	if ! { pair_shape e0 "$2" && pair_shape e1 "$4"; } 2>>"$work/tc"; then
		skip "$what" "tc: $(head -n 1 "$work/tc")"
		return
	fi
	for ((try = 0; try < attempts; try++)); do
		e0=$(pair_rate e0 "$3" "$work/pair")
		e1=$(pair_rate e1 "$5" "$work/pair")
		both=$(pair_rate e0,e1 "$6" "$work/pair")
		sum=$(awk -v a="$e0" -v b="$e1" 'BEGIN { print a + b }')
		at_least "$both" 0.9 "$sum" && break
	done
	if at_least "$both" 0.9 "$sum"; then
		ok "$what"
	else
		bad "$what" "e0: $e0 bytes/us, e1: $e1, both as one device: $both" "$(grep -h NET/weft "$work"/pair.? | tail -n 5)"
	fi
}

eight_caps
reason=$(netns_missing)
if [ -z "$reason" ] && ! command -v tc >/dev/null; then
	reason="needs tc of iproute2"
elif [ -z "$reason" ] && ! pair_up; then
	bad "two hosts" "cannot make them"
	tap_done
fi
if [ -n "$reason" ]; then
	skip "streams and NICs between two network namespaces" "$reason"
	tap_done
fi
says "auto: one connection on loopback" " 1 connection to each peer" WEFT_NICS=lo
says "auto: four on a NIC of 10 Gbit/s" " 4 connections to each peer" WEFT_NICS=e0
says "WEFT_STREAMS is obeyed" " 7 connections to each peer" WEFT_NICS=e0 WEFT_STREAMS=7
says "WEFT_RAILS makes one device of two NICs" " 2 rails: e0 e1" WEFT_NICS=e0,e1 WEFT_RAILS=2
says "and their number bounds it" " 1  meet " WEFT_RAILS=2 WEFT_NICS='e0,e1,meet'
# Long messages: at the end of each, one of the NICs has nothing to do.
two_nics "two NICs, 1:1" 40mbit 8M 40mbit 8M 32M
two_nics "two NICs, 10:1" 80mbit 8M 8mbit 1M 16M
tap_done
