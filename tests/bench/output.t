#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What scripts for nccl-tests read from its output, they read from all_reduce_perf's: columns, the average, the JSON, and CSV
# and SVG besides.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/bench/collective.bash
. "$here/collective.bash"

is() { # description, expected, got
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		bad "$1" "expected: $2" "got: $3" "$(cat "$work/out" "$work/err")"
	fi
}

run all_reduce --ranks 2 -b 1K -e 64K -f 8 -n 3 -J "$work/a.csv" --plot "$work/a.svg"
is "rows begin with a blank, everything else with # or nothing" "0 3 0" \
	"$status $(grep -c '^ *[0-9]' "$work/out") $(grep -cvE '^( *[0-9]|#|$)' "$work/out")"
# As in scripts of clouds: fields by number, and the average by its name.
average=$(grep '# Avg bus bandwidth' "$work/out" | awk '{ print $NF }')
is "the average is that of fields 8 and 12" yes "$(
	grep '^ *[0-9]' "$work/out" | awk -v average="$average" '
		{ sum += $8 + $12 } END { d = sum / (2 * NR) - average; print (d < 0.0051 && d > -0.0051 ? "yes" : "no: " d) }'
)"
is "the average behind a colon" "$average" "$(sed -n 's/^# Avg bus bandwidth *: \([0-9.e+-]*\).*/\1/p' "$work/out")"
# The last character of a head stands over the last one of its values.
is "values end where their heads do" "12 26 36 44 52 61 69 77 85 94 102 110 118" "$(
	awk '/^# +size / { for (line = " " substr($0, 2); match(line, /[^ ]+/);) {
			at += RSTART + RLENGTH - 1
			ends = ends (ends ? " " : "") at
			line = substr(line, RSTART + RLENGTH)
		} print ends }' "$work/out"
)"
none "rows have these columns" "$(
	grep '^ *[0-9]' "$work/out" | awk '{ ends = ""; at = 0
		for (line = $0; match(line, /[^ ]+/);) {
			at += RSTART + RLENGTH - 1
			ends = ends (ends ? " " : "") at
			line = substr(line, RSTART + RLENGTH)
		}
		if (ends != "12 26 36 44 52 61 69 77 85 94 102 110 118") print ends }'
)"

is "the CSV has a head and the rows of the table" "$(
	grep '^ *[0-9]' "$work/out" | awk '{ print $1, $2, $3, $4, $5, $9, $13 }'
)" "$(awk -F , 'NR == 1 { n = NF; for (i = 1; i <= NF; i++) column[$i] = i; next }
	NF == n { print $1, $2, $3, $4, $5, $column["out_of_place_nwrong"], $column["in_place_nwrong"] }' "$work/a.csv")"
none "and its numbers are those of the table" "$(
	paste -d ' ' <(grep '^ *[0-9]' "$work/out") <(sed 1d "$work/a.csv" | tr , ' ') |
		awk 'function off(a, b) { return a - b > 0.0051 + b / 1000 || b - a > 0.0051 + b / 1000 }
			off($6, $19) || off($7, $20) || off($8, $21) || off($10, $23) || off($11, $24) || off($12, $25)'
)"
is "the SVG has a point for each row and placement" 6 "$(grep -c '<circle' "$work/a.svg")"
if command -v xmllint >/dev/null; then
	is "the SVG is well-formed" "" "$(xmllint --noout "$work/a.svg" 2>&1)"
else
	skip "the SVG is well-formed" "no xmllint"
fi

# nccl-tests' own analysis of single iterations needs the times of each process, and their maximum as times_us.
run all_gather --ranks 3 -b 48K -e 48K -n 4 -I 1 -K 1 -J "$work/a.json"
if command -v jq >/dev/null; then
	is "JSON: the times of each process, and their maximum" "true true 3" "$(
		jq -r '[(.results[0] | .out_of_place_per_iter, .in_place_per_iter |
			(.per_process_max_times_us | map(length) == [4, 4, 4]) and
			(.times_us == (.per_process_max_times_us | transpose | map(max)))), (.config.devices | length)] |
			map(tostring) | join(" ")' "$work/a.json"
	)"
else
	skip "JSON: the times of each process, and their maximum" "no jq"
fi
echo earlier >"$work/b.json"
run all_reduce --ranks 1 -b 1K -e 1K -n 2 -I 1 -J "$work/b.json" --plot /no/such/directory/a.svg
is "one process has no such list; a plot that cannot be written does not stop the run" "0 0 1" \
	"$status $(grep -c per_process "$work/b.json.0") $(grep -c '^# skipping plot output; /no/such/directory/a.svg' "$work/out")"
is "an earlier file is kept, and the output names the new one" "earlier $work/b.json.0" \
	"$(cat "$work/b.json") $(sed -n 's/^# Writing JSON output to //p' "$work/out")"

# Groups: two rings of two ranks at once, by nccl-tests' rule; ranks 0 and 2 form the one that is printed. The data of the
# groups differ, so data that came from the other group would be wrong.
NCCL_TESTS_SPLIT="MOD 2" run all_gather --ranks 4 -b 1000003 -e 1000003 -n 2 --check_timed 1 -J "$work/c.json"
is "two groups: the ranks, their groups, the row of a group" "0 0:0 1:1 2:0 3:1 1000000 125000 0 0" "$status $(
	sed -n 's/^#  Rank *\([0-9]*\) Group *\([0-9]*\) .*/\1:\2/p' "$work/out" | tr '\n' ' '
)$(awk '/^ *[0-9]/ { print $1, $2, $9, $13 }' "$work/out")"
is "two groups: they are announced" 1 "$(grep -c '^# 2 groups of 2 ranks at once; the bandwidth is that of each$' "$work/out")"
is "two groups: half of the data is sent" yes "$(
	awk '/^ *[0-9]/ { d = $8 - $7 / 2; print (d < 0.011 && d > -0.011 ? "yes" : "no") }' "$work/out"
)"
if command -v jq >/dev/null; then
	is "two groups: the JSON names them" "[0,1,0,1]" "$(jq -c '[.config.devices[].group]' "$work/c.json")"
else
	skip "two groups: the JSON names them" "no jq"
fi
FAULTY_INNER=$build/src/.libs/libnccl-net-weft.so FAULTY_HOW=flip NCCL_TESTS_SPLIT="DIV 2" \
	run all_reduce --plugin "$build/tests/bench/.libs/faulty_plugin.so" --ranks 4 -b 512K -e 512K -n 1 --chunk 16K
is "two groups: wrong data of all ranks count" "7 4" "$status $(
	sed -n 's/^# Out of bounds values : \([0-9]*\) FAILED$/\1/p' "$work/out" | awk '{ print ($1 >= 4 ? 4 : $1) }'
)"
# Groups of two ranks and of one, which has no connection; every root that all groups have.
NCCL_TESTS_SPLIT_MASK=1 run gather --ranks 3 -b 48K -e 48K -n 1 -r all
is "groups of unequal size" "0 0 0 0" "$status $(awk '/^ *[0-9]/ { print $5, $9, $13 }' "$work/out")"
NCCL_TESTS_SPLIT="DIV 3" run hypercube --ranks 4 -b 48K -e 48K -n 1
is "a hypercube is skipped if a group is no power of two" "0 1 0" "$status $(
	grep -c '^# 3 ranks are not a power of two, skipping$' "$work/out"
) $(grep -c '^ *[0-9]' "$work/out")"
tap_done
