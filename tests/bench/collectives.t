#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The other collectives from end to end: right data passes, corrupted data is found, rows have nccl-tests' format.
# all_reduce.t tests everything common to all programs (launchers, options, deaths).
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/bench/collective.bash
. "$here/collective.bash"
faulty=$build/tests/bench/.libs/faulty_plugin.so
weft=$build/src/.libs/libnccl-net-weft.so

rows() { awk '!/^#/ && NF' "$work/out"; }

# Passes if the given number of rows with 13 fields has no error; $3 is N/A for collectives without a check in place.
good() { # description, rows, what the last column holds
	if [ $status = 0 ] && [ "$(rows | wc -l)" = "$2" ] &&
		[ -z "$(rows | awk -v in_place="$3" 'NF != 13 || $9 != "0" || $13 != in_place')" ] &&
		grep -q '^# Out of bounds values : 0 OK$' "$work/out"; then
		ok "$1"
	else
		bad "$1" "exit $status" "$(cat "$work/out" "$work/err")"
	fi
}

# Columns 1 to 5 of the only row, and busbw / algbw, to the precision of two decimals.
row_is() { # description, columns, factor
	local got
	got=$(rows | awk '{ print $1, $2, $3, $4, $5 }')
	if [ "$got" = "$2" ] && rows | awk -v f="$3" '{ d = $8 - f * $7; exit !(d < 0.011 && d > -0.011) }'; then
		ok "$1"
	else
		bad "$1" "expected $2, busbw $3 of algbw" "$(cat "$work/out")"
	fi
}

# The last column, then the row of 4 ranks for -b 1000003 -d float: size, count, type, redop, root; busbw / algbw.
declare -A in_place=([alltoall]=N/A [sendrecv]=N/A [alltoallv]=N/A)
declare -A four=(
	[all_gather]="1000000 62500 float none -1" [reduce_scatter]="1000000 62500 float sum -1"
	[alltoall]="1000000 62500 float none -1" [sendrecv]="1000000 250000 float none -1"
	[broadcast]="1000000 250000 float none 0" [reduce]="1000000 250000 float sum 0"
	[gather]="1000000 62500 float none 0" [scatter]="1000000 62500 float none 0"
	[alltoallv]="999984 62500 float none -1" [hypercube]="1000000 62500 float none -1")
declare -A factor=([all_gather]=0.75 [reduce_scatter]=0.75 [alltoall]=0.75 [sendrecv]=1 [broadcast]=1 [reduce]=1
	[gather]=0.75 [scatter]=0.75 [alltoallv]=0.75 [hypercube]=1)

for c in all_gather reduce_scatter alltoall sendrecv broadcast reduce gather scatter alltoallv hypercube; do
	wrong=${in_place[$c]:-0}
	case $c in all_gather | reduce_scatter | sendrecv | alltoallv)
		run $c --ranks 2 -b 16 -e 256K -f 128 -n 2
		good "$c, 2 ranks, 16 B to 256 KiB" 3 "$wrong"
		;;
	esac
	ranks=$([ $c = hypercube ] && echo 4 || echo 3)
	run $c --ranks "$ranks" -b 10000 -e 10000 -d all -o all -n 1 -w 0 --chunk 1K --channels 3 -u 1
	good "$c, $ranks ranks, every type and operation, many small messages" \
		"$([[ $c = reduce* ]] && echo 50 || echo 10)" "$wrong"
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

for c in broadcast reduce gather scatter; do
	run $c --ranks 3 -b 64K -e 64K -r -1 -n 1
	if [ $status = 0 ] && [ "$(rows | awk '{ printf "%s %s %s ", $5, $9, $13 }')" = "0 0 0 1 0 0 2 0 0 " ]; then
		ok "${c}_perf -r -1: every root in turn"
	else
		bad "${c}_perf -r -1: every root in turn" "exit $status" "$(cat "$work/out" "$work/err")"
	fi
done
run broadcast --ranks 3 -b 64K -e 64K -r 3
if [ $status = 2 ] && grep -q 'broadcast_perf: --root 3: there are 3 ranks' "$work/err"; then
	ok "a root that is no rank: exit 2"
else
	bad "a root that is no rank: exit 2" "exit $status" "$(cat "$work/out" "$work/err")"
fi
run hypercube --ranks 3 -b 64K -e 64K
if [ $status = 0 ] && grep -q '^# 3 ranks are not a power of two, skipping$' "$work/out" && [ -z "$(rows)" ]; then
	ok "a hypercube of 3 ranks: skipped, exit 0"
else
	bad "a hypercube of 3 ranks: skipped, exit 0" "exit $status" "$(cat "$work/out" "$work/err")"
fi

# Unequal shares from a matrix: the row has the size of the rank with most data, 1600 + 32000 + 48 bytes; -e is a limit.
printf '1600 32000 50\n0 0 16\n64 1000 8\n' >"$work/matrix"
export NCCL_TESTS_ALLTOALLV_MATRIX_FILE=$work/matrix NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY=1
run alltoallv --ranks 3 -b 64K -e 64K -n 2 -d half --check_timed 1
good "alltoallv_perf with a matrix" 1 N/A
row_is "alltoallv_perf with a matrix: its size" "33648 0 half none -1" 0.667
none "alltoallv_perf with a matrix: what each rank moves" "$(diff - <(grep -oE '^# +rank=.*_bytes=[0-9]+' "$work/out") <<'END'
#   rank=0 send_bytes=33648 recv_bytes=1664
#   rank=1 send_bytes=16 recv_bytes=32992
#   rank=2 send_bytes=1056 recv_bytes=64
END
)"
run alltoallv --ranks 3 -b 32K -e 32K
ended=$status
run alltoallv --ranks 4 -b 64K -e 64K
if [ "$ended $status" = "1 2" ] && grep -q 'MATRIX_FILE=.*/matrix: 3 rows for 4 ranks' "$work/err"; then
	ok "alltoallv_perf with a matrix: too small buffers end with 1, a matrix too small with 2"
else
	bad "alltoallv_perf with a matrix: too small buffers end with 1, a matrix too small with 2" \
		"exit $ended, $status" "$(cat "$work/out" "$work/err")"
fi
unset NCCL_TESTS_ALLTOALLV_MATRIX_FILE NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY

FAULTY_INNER=$weft FAULTY_HOW=stall run alltoall --plugin "$faulty" --ranks 2 -b 256K -e 256K -n 3 -T 2
if [ $status = 4 ] && grep -q 'an all-to-all took too long' "$work/out"; then
	ok "a stall ends an all-to-all with -T, exit 4"
else
	bad "a stall ends an all-to-all with -T, exit 4" "exit $status" "$(cat "$work/out" "$work/err")"
fi
tap_done
