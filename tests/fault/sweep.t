#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The n-th call into the provider fails, or the n-th completion is an error, for n = 1, 2, 3 ... until a run does not
# reach the fault; in either process, with either protocol. For every n both processes must end, with all messages
# delivered or with an explained error (see survive.c). RAILS="1 2" in the environment lists the numbers of rails to
# test; the default is 1.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
use_fault_provider
export WEFT_CTRL_BUFFERS=8 # as few calls as can be
jobs=8

# One run with its fault. The file `reached` lists the runs in which the fault occurred.
one() { # fault, n, victim
	local log=$tmp/log.$2
	rm -f "$log"
	tests/fault/survive --plugin src/.libs/libnccl-net-weft.so --victim "$3" --timeout 60 \
		"$1=$2" FAULT_LOG="$log" >"$tmp/out.$2" 2>&1 || echo "$1=$2: $(cat "$tmp/out.$2")" >>"$tmp/wrong"
	if grep -qE '(failed|errors)=[1-9]' "$log" 2>/dev/null || [ ! -s "$log" ]; then
		echo "$2" >>"$tmp/reached"
	fi
}

sweep() { # fault, victim
	local n=0 i touched=1 first=
	: >"$tmp/wrong"
	while [ $touched = 1 ] && [ $n -lt 2000 ]; do
		: >"$tmp/reached"
		for ((i = 0; i < jobs; i++)); do
			n=$((n + 1))
			one "$1" $n "$2" &
		done
		wait
		first=$first$(grep -x 1 "$tmp/reached")
		[ "$(wc -l <"$tmp/reached")" = $jobs ] || touched=0
	done
	none "$protocol, $rails rails, $1 in $2: every n up to $n ends well" "$(cat "$tmp/wrong")"
	[ -n "$first" ] || bad "$protocol, $1 in $2: the fault is never reached" "$(cat "$tmp/log.1")"
}

for rails in ${RAILS-1}; do
	for protocol in tagged rma; do
		export WEFT_PROTOCOL=$protocol WEFT_TEST_RAILS=$rails
		for victim in A B; do
			sweep FAULT_FAIL_NTH $victim
			sweep FAULT_ERROR_NTH $victim
		done
	done
done
tap_done
