#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The other collectives from end to end: honest data verifies, spoilt data is found, rows are nccl-tests'.
# What they share with all_reduce_perf (launchers, options, deaths) is tested in all_reduce.t.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
build=${TEST_BUILDDIR:?run by make check}
faulty=$build/tests/bench/.libs/faulty_plugin.so
weft=$build/src/.libs/libnccl-net-weft.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "${TEST_SANITIZER:-}" ]; then
	echo leak:libfabric.so >"$work/lsan"
	export LSAN_OPTIONS="suppressions=$work/lsan:print_suppressions=0"
fi
unset RANK WORLD_SIZE MASTER_ADDR MASTER_PORT PMI_RANK PMIX_RANK OMPI_COMM_WORLD_RANK SLURM_PROCID
unset NCCL_TESTS_DEVICE NCCL_TESTS_MIN_BW

run() { # collective, arguments: leaves $status, and out and err in $work
	timeout --kill-after=5 200 "$build/benchmarks/$1_perf" "${@:2}" >"$work/out" 2>"$work/err"
	status=$?
}

rows() { awk '!/^#/ && NF' "$work/out"; }

# Nothing wrong in `count` rows of 13 fields; in place where that can be checked ($3 = N/A where not).
good() { # description, rows, what the last column holds
	if [ $status = 0 ] && [ "$(rows | wc -l)" = "$2" ] &&
		[ -z "$(rows | awk -v in_place="$3" 'NF != 13 || $9 != "0" || $13 != in_place')" ] &&
		grep -q '^# Out of bounds values : 0 OK$' "$work/out"; then
		ok "$1"
	else
		bad "$1" "exit $status" "$(cat "$work/out" "$work/err")"
	fi
}

# Columns 1 to 5 of the only row, and busbw by algbw, as far as two decimals show it.
row_is() { # description, columns, factor
	local got
	got=$(rows | awk '{ print $1, $2, $3, $4, $5 }')
	if [ "$got" = "$2" ] && rows | awk -v f="$3" '{ d = $8 - f * $7; exit !(d < 0.011 && d > -0.011) }'; then
		ok "$1"
	else
		bad "$1" "expected $2, busbw $3 of algbw" "$(cat "$work/out")"
	fi
}

# Last column, then a row of 4 ranks for -b 1000003 -d float: size, count, type, redop, root; busbw / algbw.
declare -A in_place=([alltoall]=N/A [sendrecv]=N/A)
declare -A four=(
	[all_gather]="1000000 62500 float none -1" [reduce_scatter]="1000000 62500 float sum -1"
	[alltoall]="1000000 62500 float none -1" [sendrecv]="1000000 250000 float none -1"
	[broadcast]="1000000 250000 float none 0")
declare -A factor=([all_gather]=0.75 [reduce_scatter]=0.75 [alltoall]=0.75 [sendrecv]=1 [broadcast]=1)

for c in all_gather reduce_scatter alltoall sendrecv broadcast; do
	wrong=${in_place[$c]:-0}
	run $c --ranks 2 -b 16 -e 256K -f 128 -n 2
	good "$c, 2 ranks, 16 B to 256 KiB" 3 "$wrong"
	run $c --ranks 3 -b 10000 -e 10000 -d all -o all -n 1 -w 0 --chunk 1K --channels 3 -u 1
	good "$c, 3 ranks, every type and operation, many small messages" \
		"$([ $c = reduce_scatter ] && echo 50 || echo 10)" "$wrong"
	run $c --ranks 4 -b 1000003 -e 1000003 -n 5 --check_timed 1
	good "$c, 4 ranks, the timed operations too" 1 "$wrong"
	row_is "$c: count, size and bandwidth as in nccl-tests" "${four[$c]}" "${factor[$c]}"
	run $c --ranks 1 -b 1K -e 1K -n 2
	good "$c, one rank" 1 "$wrong"

	for how in flip $([ $c = alltoall ] && echo stale overrun); do
		FAULTY_INNER=$weft FAULTY_HOW=$how run $c --plugin "$faulty" --ranks 2 -b 512K -e 512K -n 3 --chunk 16K
		if [ $status = 7 ] && [ -n "$(rows | awk '$9 > 0')" ] &&
			grep -qE '^# Out of bounds values : [1-9][0-9]* FAILED$' "$work/out"; then
			ok "$c: $how is found, exit 7"
		else
			bad "$c: $how is found, exit 7" "exit $status" "$(cat "$work/out" "$work/err")"
		fi
	done
done

run broadcast --ranks 3 -b 64K -e 64K -r -1 -n 2
if [ $status = 0 ] && [ "$(rows | awk '{ printf "%s ", $5 }')" = "0 1 2 " ]; then
	ok "broadcast_perf -r -1: every root in turn"
else
	bad "broadcast_perf -r -1: every root in turn" "exit $status" "$(cat "$work/out" "$work/err")"
fi
run broadcast --ranks 3 -b 64K -e 64K -r 3
if [ $status = 2 ] && grep -q 'broadcast_perf: --root 3: there are 3 ranks' "$work/err"; then
	ok "a root that is no rank: exit 2"
else
	bad "a root that is no rank: exit 2" "exit $status" "$(cat "$work/out" "$work/err")"
fi
FAULTY_INNER=$weft FAULTY_HOW=stall run alltoall --plugin "$faulty" --ranks 2 -b 256K -e 256K -n 3 -T 2
if [ $status = 4 ] && grep -q 'an all-to-all took too long' "$work/out"; then
	ok "a stall ends an all-to-all with -T, exit 4"
else
	bad "a stall ends an all-to-all with -T, exit 4" "exit $status" "$(cat "$work/out" "$work/err")"
fi
tap_done
