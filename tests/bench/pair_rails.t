#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weft-pair --rails over four NICs of the fault provider, whose rates are far below what a busy machine moves: a rail that is
# twenty times slower is named, equal rails are not, and the files hold the figures of each rail.
# shellcheck disable=SC2016,SC2034,SC2317 # check evaluates its words, and calls the functions
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
# shellcheck source=tests/bench/pair.bash
. "$here/pair.bash"
quick=(-b 16K --depth 2 --time-ms 150 --reps 3)
least=(--least 0.15)

run --ranks 2 "${quick[@]}" --rails --json "$tmp/j"
check "a device of one NIC: its name, and no rails" eval '[ "$rc" = 0 ] && grep -q "^# slow rails: 0$" "$tmp/out" &&
	[ "$($get "$tmp/j" ranks 0 nics 0)" = lo ] && [ "$($get "$tmp/j" pairs 0 rails)" = 0 ]'
WEFT_STATS=0 run --ranks 2 "${quick[@]}" --rails --json "$tmp/j"
check "NICs that are unknown: exit 1, and the pairs are measured" eval '[ "$rc" = 1 ] && grep -q "WEFT_STATS=0" "$tmp/out" &&
	[ "$($get "$tmp/j" pairs)" = 2 ] && [ "$($get "$tmp/j" failed)" = 0 ]'

unset WEFT_TEST_RAILS
use_fault_provider
export WEFT_RAILS=4 WEFT_PROTOCOL=rma FAULT_NICS=-@200,-@200,-@200,-@200
even=2000000 uneven=2000000,2000000,100000,2000000

# The pairs of the CSV, each with all its rails: names, a bandwidth, a latency; shares make 1.
good_csv() { # ranks
	awk -F, -v n="$1" 'NR == 1 { bad = NF != 15; next }
		$9 == "" { whole++ }
		$9 != "" { rails++; share[$1 "," $2] += $12; bad += $10 != "fault" $9 || $11 != "fault" $9 || $5 != 1 }
		{ bad += !($6 > 0 && $7 > 0) || $8 != 0 }
		END { for (p in share) bad += share[p] < 0.99 || share[p] > 1.01
			exit bad || whole != n * (n - 1) || rails != 4 * whole }' "$tmp/c"
}

# Every pair of the JSON has four rails with figures.
good_rails() { # ranks
	local i r n=$1
	for ((i = 0; i < n * (n - 1); i++)); do
		[ "$($get "$tmp/j" pairs "$i" rails)" = 4 ] || return
		for r in 0 1 2 3; do
			[ "$($get "$tmp/j" pairs "$i" rails "$r" from_nic)" = "fault$r" ] &&
				[[ $($get "$tmp/j" pairs "$i" rails "$r" gb_per_s) =~ [1-9] ]] || return
		done
	done
}

FAULT_RATE=$even ranks 3 "${quick[@]}" "${least[@]}" --rails --json "$tmp/j" --csv "$tmp/c"
check "equal rails: nobody is named" eval '[ "${rcs[*]}" = "0 0 0" ] && ! grep -q "^# outlier" "$tmp/out" &&
	grep -q "^# slow rails: 0$" "$tmp/out"'
check "JSON: four rails for each pair" good_rails 3
check "CSV: four rails for each pair" good_csv 3
check "the table has a matrix for each rail" \
	eval '[ "$(grep -c "^  GB/s@[0-3] " "$tmp/out") $(grep -c "^  us@[0-3] " "$tmp/out")" = "12 12" ]'

# The NICs report 200 Mbit/s each, and move 2 MB/s.
check "what they allow: four of them, or one" eval '
	grep -q "^# expected: every rank: fault0 0.2 Gbit/s, .*: 0.1 GB/s each way; as the NICs report$" "$tmp/out" &&
	[ "$(awk -F, "NR > 1 && \$9 == \"\"" "$tmp/c" | cut -d, -f 13 | sort -u)" = 0.1 ] &&
	[ "$(awk -F, "NR > 1 && \$9 != \"\"" "$tmp/c" | cut -d, -f 13 | sort -u)" = 0.025 ] &&
	[ "$($get "$tmp/j" expected fine) $($get "$tmp/j" expected below)" = "false 6" ]'

slow="rail 2 of [^ ]* (NIC fault2)"
own[2]="FAULT_RATE=$uneven"
FAULT_RATE=$even ranks 3 "${quick[@]}" "${least[@]}" --rails --json "$tmp/j"
check "a slow rail is named, with its rank" eval '[ "${rcs[*]}" = "5 5 5" ] &&
	grep -q "^# outlier: .* rank 2 <\?-> \*.*$slow" "$tmp/out" && [ "$(grep -c "^# outlier" "$tmp/out")" = 1 ]'
check "JSON: it is rail 2 of rank 2" eval '[ "$($get "$tmp/j" slow_rails)" = 1 ] &&
	[ "$($get "$tmp/j" slow_rails 0 rail) $($get "$tmp/j" slow_rails 0 from)" = "2 2" ]'

# With `tagged` all rails carry the same, so that the slow one holds up the device.
own[2]="FAULT_RATE=$uneven"
WEFT_PROTOCOL=tagged FAULT_RATE=$even ranks 3 "${quick[@]}" "${least[@]}" --rails
check "a slow device: the line names the rail" eval '[ "${rcs[*]}" = "5 5 5" ] &&
	grep -q "^# outlier: .* rank 2 <\?-> \*: 0\.[0-9]* of the others: $slow$" "$tmp/out" &&
	[ "$(grep -c "^# outlier" "$tmp/out")" = 1 ]'

FAULT_RATE=$uneven run --ranks 2 "${quick[@]}" "${least[@]}" --rails
check "a rail that is slow for both of two ranks" eval '[ "$rc" = 5 ] &&
	grep -q "^# outlier: rail 2 of all (NIC fault2): 0\.[01]" "$tmp/out"'
tap_done
