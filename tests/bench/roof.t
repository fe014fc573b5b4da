#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --roof of the collectives: raw libfabric is measured, each row has its roof and ratios in the table, the CSV and the JSON,
# and the verdict follows from the rows. Speeds are not tested.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/bench/collective.bash
. "$here/collective.bash"
get=$build/tests/bench/net_perf_json
socket=$build/tests/bench/.libs/socket_plugin.so

check() { # description, command...
	local what=$1
	shift
	if "$@"; then ok "$what"; else bad "$what" "exit $status" "$(tail -n 40 "$work/out" "$work/err")"; fi
}

json() { "$get" "$work/$report" "$@"; } # the report of the last run

# The rows have 16 fields, and the verdict is that of their ratios.
rows_fit() { # number of rows
	awk -v want="$1" '
		function off(a, b, rounded) { return a - b > 0.0051 + rounded || b - a > 0.0051 + rounded }
		function wrong(ratio, busbw) { return off(ratio, busbw / $14, ratio * 0.0051 * (1 / busbw + 1 / $14)) }
		/^ *[0-9]/ { n++; bad += NF != 16 || $9 + $13 || $15 !~ /^[0-9.]+$/ || $16 !~ /^[0-9.]+$/
			if ($8 > 0.1 && $12 > 0.1) bad += wrong($15, $8) || wrong($16, $12)
			r = ($15 + $16) / 2; if (n == 1 || r < low) low = r; below += r < 0.9 - 0.01; above += r > 0.9 + 0.01 }
		/^# Roof: [0-9.]+ of raw libfabric, the lowest of/ { said++; bad += off($3, low) || $10 != n
			if (/: fine$/) bad += below; else bad += above == n }
		END { exit bad || n != want || said != 1 }' "$work/out"
}

json_fits() { # links, rows
	local i sizes
	sizes=$(json roof bytes)
	[ "$(json roof measured) $(json roof links) $(json roof rows) $(json results)" = "true $1 $2 $2" ] || return
	for ((i = 0; i < $1; i++)); do
		[ "$(json roof links "$i" good) $(json roof links "$i" gb_per_s) $(json roof links "$i" nics 0)" = "true $sizes lo" ] &&
			[[ $(json roof links "$i" latency_us) =~ [1-9] && $(json roof links "$i" gb_per_s 0) =~ [1-9] ]] || return
	done
	for ((i = 0; i < $2; i++)); do
		[[ $(json results "$i" roof_bus_bw) =~ [1-9] && $(json results "$i" out_of_place roof_ratio) =~ [1-9] ]] || return
	done
	[ "$(json roof fine)" = "$([ "$(json roof below)" = 0 ] && echo true || echo false)" ]
}

report=a.json
run all_reduce --ranks 3 -b 64K -e 4M -f 8 -n 3 --roof 1 -J "$work/$report"
check "3 ranks: rows and verdict" eval '[ $status = 0 ] && rows_fit 3'
check "3 ranks: the JSON" json_fits 3 3
check "the head says what was measured" \
	grep -qE '^# Roof: raw libfabric [0-9.]+, (net|tcp) on lo, 1 connection: .* the slowest of 3 links between neighbours$' "$work/out"
run all_reduce --ranks 2 -b 1K -e 1M -f 32 -n 2 --roof 1 -J "$work/a.csv" -I 1 -S 1
check "2 ranks: the CSV has roofs and ratios" awk -F, 'NR == 1 { n = NF; bad += $(n - 2) != "roof_bus_bw" }
	NR > 1 { rows++; r = $8 / $(n - 2); bad += NF != n || !($n > 0) || r / $(n - 1) > 1.001 || r / $(n - 1) < 0.999 }
	END { exit bad || rows != 3 }' "$work/a.csv"
for what in alltoall hypercube broadcast; do
	run "$what" --ranks 2 -b 64K -e 64K -n 2 --roof 1
	check "$what: a roof" eval '[ $status = 0 ] && rows_fit 1'
done
report=b.json
WEFT_STREAMS=2 run all_reduce --ranks 2 -b 64K -e 64K -n 1 --roof 1
check "streams: as many connections as Weft opens" eval '[ $status = 0 ] && rows_fit 1 &&
	grep -qE "^# Roof: raw .* on lo, [23] connections: " "$work/out"'
NCCL_TESTS_SPLIT="DIV 3" run all_gather --ranks 5 -b 256K -e 256K -n 1 --roof 1 -J "$work/$report"
check "groups of 3 and 2 ranks: their 4 links" eval '[ $status = 0 ] && rows_fit 1 && json_fits 4 1'

run all_reduce --ranks 1 -b 1K -e 1K -n 1 --roof 1
check "one rank has no link" eval '[ $status = 0 ] && grep -q "^# Roof: not measured: no rank has a neighbour" "$work/out" &&
	awk "/^ *[0-9]/ { exit \$14 \$15 \$16 != \"N/AN/AN/A\" }" "$work/out"'
report=c.json
WEFT_PROVIDER=nosuch run all_reduce --ranks 2 -b 1K -e 1K -n 1 --roof 1 --plugin "$socket" -J "$work/$report"
check "raw libfabric cannot, the plugin can" eval '[ $status = 0 ] && grep -q nosuch "$work/err" &&
	grep -q "^# Roof: not measured: raw libfabric failed at rank 0 " "$work/out" &&
	[ "$(json roof measured) $(json roof fine) $(json results 0 roof_bus_bw)" = "false false null" ]'
run all_reduce --ranks 2 -b 1K -e 1K -n 1 --roof 1 --plugin "$socket"
check "another plugin: the provider and NIC that libfabric chooses" eval '[ $status = 0 ] && rows_fit 1'
# What the NICs allow: the loopback reports no speed; a machine that is named has one.
report=d.json
WEFT_PLATFORM=p4d.24xlarge run all_reduce --ranks 4 -b 64K -e 256K -f 4 -n 1 -J "$work/$report"
check "the table of platforms: 4 ranks share a NIC of 100 Gbit/s" \
	grep -q '^# Expected: at most 12.5 GB/s each way: 1 NIC x 100 Gbit/s of a host, for the 4 ranks there; busbw 3.125 GB/s; from the table' \
	"$work/out"
check "the ratio is that of the largest row" awk '/^ +262144/ { want = ($8 + $12) / 2 / 3.125 }
	/^# Expected: [0-9.]+ of what the NICs allow at 256K/ { n++; bad = $3 - want > 0.01 || want - $3 > 0.01 }
	END { exit bad || n != 1 }' "$work/out"
check "the same in JSON" [ "$(json expected nics) $(json expected ranks) $(json expected bus_bw)" = "1 4 3.125" ]
run all_reduce --ranks 2 -b 1K -e 1K -n 1 -J "$work/e.json"
check "the loopback has no speed" eval '[ $status = 0 ] && ! grep -q "^# Expected" "$work/out" && ! grep -q expected "$work/e.json"'
WEFT_PLATFORM=p4d.24xlarge WEFT_STATS=0 run all_reduce --ranks 2 -b 1K -e 1K -n 1
check "without a record nothing is known" eval '[ $status = 0 ] && ! grep -q "^# Expected" "$work/out"'

run all_reduce --ranks 2 -b 1K -e 1K -n 1
check "without --roof the table is nccl-tests'" eval '! grep -qi roof "$work/out" && awk "/^ *[0-9]/ { exit NF != 13 }" "$work/out"'
run all_reduce --ranks 2 --engine nccl --roof 1
check "not with NCCL" eval '[ $status = 2 ] && grep -q "^all_reduce_perf: --roof: " "$work/err"'
tap_done
