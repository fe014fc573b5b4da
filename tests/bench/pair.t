#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weft-pair: local ranks and ranks by environment, its files, a slow rank, wrong bytes, pairs that fail, lost ranks. Speeds
# are not tested; the slow rank is slower by far than any load makes the others.
# shellcheck disable=SC2016,SC2317 # check evaluates its words, and calls the functions
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
# shellcheck source=tests/bench/pair.bash
. "$here/pair.bash"
weft=src/.libs/libnccl-net-weft.so
capped=$(compgen -G 'tests/bench/.libs/*capped.so' | head -1)
faulty=$(compgen -G 'tests/bench/.libs/*faulty_plugin.so' | head -1)
socket=$(compgen -G 'tests/bench/.libs/*socket_plugin.so' | head -1)
if [ "${TEST_SANITIZER-}" = address ] && [ -z "${LSAN_OPTIONS-}" ]; then
	echo leak:libfabric.so >"$tmp/lsan"
	export LSAN_OPTIONS="suppressions=$tmp/lsan:print_suppressions=0"
fi
quick=(-b 64K --time-ms 10 --reps 2 --least 0)

# Rows of the table: what, N of them, each with N + 2 columns, one of them -.
matrix() { # N
	awk -v n="$1" '$1 == "GB/s" || $1 == "us" { rows[$1]++; bad += NF != n + 2 || $($2 + 3) != "-"
		for (i = 3; i <= NF; i++) bad += i != $2 + 3 && !($i > 0) }
		END { exit bad || rows["GB/s"] != n || rows["us"] != n }' "$tmp/out"
}

# Every pair of the JSON is connected, with a bandwidth and a latency.
good_json() { # N
	local i n=$1
	[ "$($get "$tmp/j" pairs)" = $((n * (n - 1))) ] && [ "$($get "$tmp/j" ranks)" = "$n" ] &&
		[ "$($get "$tmp/j" wrong) $($get "$tmp/j" failed) $($get "$tmp/j" status)" = '0 0 0' ] || return
	for ((i = 0; i < n * (n - 1); i++)); do
		[ "$($get "$tmp/j" pairs "$i" connected)" = true ] &&
			[[ $($get "$tmp/j" pairs "$i" gb_per_s) =~ [1-9] && $($get "$tmp/j" pairs "$i" latency_us) =~ [1-9] ]] || return
	done
}

run --ranks 4 "${quick[@]}" --json "$tmp/j" --csv "$tmp/c" --svg "$tmp/s"
check "4 ranks: all well" [ "$rc" = 0 ]
check "4 ranks: two matrices" matrix 4
check "4 ranks: JSON has all pairs" good_json 4
check "4 ranks: CSV has a row for each pair" eval '[ "$(awk -F, "NF == 11 && \$5 == 1" "$tmp/c" | wc -l)" = 12 ]'
check "4 ranks: a square for each, 12 of them coloured" \
	eval '[ "$(grep -c "^<rect" "$tmp/s")" = 16 ] && [ "$(grep -c "fill=.rgb" "$tmp/s")" = 12 ]'
if command -v python3 >/dev/null; then
	check "the heat map is XML" python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$tmp/s"
else
	skip "the heat map is XML" "needs python3"
fi
check "each rank is named with its device" eval '[ "$(grep -c "^# rank .* plugin weft v.*device lo" "$tmp/out")" = 4 ]'
run --ranks 3 --alone --comms 3 --threads 2 "${quick[@]}" --json "$tmp/j"
check "3 ranks, one pair at a time, 3 comms on 2 threads" eval '[ "$rc" = 0 ] && matrix 3 && good_json 3'
run --ranks 2 "${quick[@]}" --duplex --json "$tmp/j"
check "both directions at once: one figure for both" eval '[ "$rc" = 0 ] && good_json 2 && grep -q "^# both directions" "$tmp/out" &&
	[ "$($get "$tmp/j" pairs 0 gb_per_s)" = "$($get "$tmp/j" pairs 1 gb_per_s)" ]'
run --ranks 2 "${quick[@]}" --plugin "${socket:-$weft}" --json "$tmp/j"
check "another plugin, two ranks" eval '[ "$rc" = 0 ] && good_json 2 && grep -q "^# two ranks have no others" "$tmp/out"'
ranks 3 "${quick[@]}" --json "$tmp/j"
check "3 ranks by environment" eval '[ "${rcs[*]}" = "0 0 0" ] && matrix 3 && good_json 3 && [ ! -s "$tmp/out1" ]'

# Raw libfabric beside each pair. What the table, the JSON and the CSV conclude follows from the rows of the CSV.
roof_fits() { # N
	local sum
	sum=$(awk -F, 'NR > 1 && $9 > 0 { n++; r = $6 / $9; bad += r - $11 > 1e-3 * r || $11 - r > 1e-3 * r || !($10 > 0)
		below += r < 0.9; if (n == 1 || r < low) low = r } END { printf "%d %d %.2f %d", n, below, low, bad }' "$tmp/c")
	read -r n below low bad <<<"$sum"
	[ "$n" = $(($1 * ($1 - 1))) ] && [ "$bad" = 0 ] &&
		[ "$($get "$tmp/j" roof pairs) $($get "$tmp/j" roof below)" = "$n $below" ] &&
		[ "$($get "$tmp/j" roof fine)" = "$([ "$below" = 0 ] && echo true || echo false)" ] &&
		grep -qE "^# roof: $low of raw libfabric, the lowest of $n(: fine|; $below below 0.9)\$" "$tmp/out" &&
		[ "$(grep -c '^# roof: rank . (.*) -> rank . (.*): 0\.[0-9]* of raw' "$tmp/out")" = "$below" ] &&
		awk -v n="$1" '$1 == "raw" || $1 == "rawus" || $1 == "ratio" { rows++; bad += NF != n + 2 || $($2 + 3) != "-" }
			END { exit bad || rows != 3 * n }' "$tmp/out"
}
run --ranks 3 --roof --comms 2 "${quick[@]}" --json "$tmp/j" --csv "$tmp/c"
check "--roof: ratios, and the conclusion from them" eval '[ "$rc" = 0 ] && matrix 3 && good_json 3 && roof_fits 3'
check "--roof: what raw libfabric used" [ "$(grep -c '^# roof: rank .: libfabric .* on lo$' "$tmp/out")" = 3 ]
WEFT_PROVIDER=nosuch run --ranks 2 --roof "${quick[@]}" --plugin "${socket:-$weft}" --json "$tmp/j" --csv "$tmp/c"
check "--roof: raw libfabric cannot, the plugin can" eval '[ "$rc" = 0 ] && good_json 2 &&
	grep -q "^# roof: no pair could be measured with raw libfabric" "$tmp/out" && grep -q nosuch "$tmp/err" &&
	[ "$($get "$tmp/j" roof fine) $($get "$tmp/j" pairs 0 ratio)" = "false null" ] && [ "$(grep -c ",,,,,,$" "$tmp/c")" = 2 ]'

# What the NICs allow. The loopback reports no speed; a machine that is named has one, which the pairs of a round share.
expected_fits() { # N
	local sum
	sum=$(awk -F, 'NR > 1 { n++; r = $6 / $9; bad += r - $10 > 1e-3 * r || $10 - r > 1e-3 * r || $9 != 25 || $11 !~ /^[0-3]$/
		below += r < 0.9; if (n == 1 || r < low) low = r } END { printf "%d %d %.2f %d", n, below, low, bad }' "$tmp/c")
	read -r n below low bad <<<"$sum"
	[ "$n" = $(($1 * ($1 - 1))) ] && [ "$bad" = 0 ] &&
		[ "$($get "$tmp/j" expected pairs) $($get "$tmp/j" expected below)" = "$n $below" ] &&
		grep -qE "^# expected: $low of what the NICs allow, the lowest of $n(: fine|; $below below 0.9; --roof .*)\$" "$tmp/out" &&
		awk -v n="$1" '$1 == "exp" || $1 == "ofexp" { rows++; bad += NF != n + 2 || $($2 + 3) != "-" }
			END { exit bad || rows != 2 * n }' "$tmp/out"
}
WEFT_PLATFORM=p6-b200.48xlarge run --ranks 4 "${quick[@]}" --json "$tmp/j" --csv "$tmp/c"
check "the table of platforms: what the NICs allow, and the conclusion from it" eval '[ "$rc" = 0 ] && matrix 4 && expected_fits 4'
check "and its reason" \
	grep -q '^# expected: every rank: lo 400 Gbit/s: 50 GB/s each way; from the table of platforms, for p6-b200.48xlarge$' "$tmp/out"
check "a pair below it names the rank whose NICs are the limit, and that pairs share them" \
	grep -qE '^# expected: rank . \(.*\) -> rank . \(.*\): 0\.[0-9]+ of what the NICs allow: 25 GB/s, by those of rank . \(.*\), which 2 pairs share$' \
	"$tmp/out"
run --ranks 2 "${quick[@]}" --json "$tmp/j" --csv "$tmp/c"
check "the loopback reports no speed: nothing is expected" eval '[ "$rc" = 0 ] &&
	grep -q "^# expected: every rank: not known: lo reports no speed$" "$tmp/out" && [ "$(grep -c "^# expected" "$tmp/out")" = 1 ] &&
	[ "$($get "$tmp/j" expected pairs) $($get "$tmp/j" pairs 0 expected_gb_per_s)" = "0 null" ] && [ "$(grep -c ",,,$" "$tmp/c")" = 2 ]'
WEFT_STATS=0 run --ranks 2 "${quick[@]}"
check "nor without a record" grep -q "^# expected: every rank: not known: no record of its NICs" "$tmp/out"

# Only ranks of a launcher are judged when not told otherwise.
run --ranks 2 -b 4K --time-ms 5 --reps 1 --json "$tmp/j"
check "ranks of one host compete for its cores: none is slow" [ "$($get "$tmp/j" least)" = 0 ]
ranks 2 -b 4K --time-ms 5 --reps 1 --json "$tmp/j"
check "ranks of a launcher: slow below 0.7" [ "$($get "$tmp/j" least | cut -c 1-3)" = 0.7 ]

# One rank sends over capped connections.
what="a slow rank is named"
if [ -n "${TEST_SANITIZER-}" ] || [ -z "$capped" ]; then
	skip "$what" "needs a library that is preloaded, which the sanitizer refuses"
else
	own[2]="LD_PRELOAD=$PWD/$capped CAPPED_RATE=300000"
	ranks 4 -b 64K --time-ms 10 --reps 1 --least 0.2 --provider tcp --json "$tmp/j"
	if awk '$1 == "GB/s" && $2 == 2 { exit !($3 > 0.01 || $4 > 0.01 || $6 > 0.01) }' "$tmp/out"; then
		skip "$what" "the kernel does not pace connections here"
	else
		check "$what" grep -qE "^# outlier: .* rank 2 <?-> \*: 0\.[0-9]+ of the others|^# outlier: .* rank 2 <?-> \*: [0-9.]+e-" \
			"$tmp/out"
		check "all ranks exit with 5" [ "${rcs[*]}" = '5 5 5 5' ]
		check "JSON: its number and the status" [ "$($get "$tmp/j" outliers 0 from) $($get "$tmp/j" status)" = '2 5' ]
	fi
fi

if [ -n "$faulty" ]; then
	export FAULTY_INNER=$weft FAULTY_EVERY=5 FAULTY_HOW=null
	FAULTY_HOW=flip run --ranks 2 "${quick[@]}" --plugin "$faulty"
	check "wrong bytes: exit 7, named" eval '[ "$rc" = 7 ] && grep -q "^# wrong bytes: rank 0 .* -> rank 1 " "$tmp/out"'
	own[1]=FAULTY_HOW=error
	ranks 3 "${quick[@]}" --plugin "$faulty" --timeout 20 --json "$tmp/j"
	check "a rank whose calls fail: exit 3 everywhere, named" eval '[ "${rcs[*]}" = "3 3 3" ] &&
		grep -q "^# not connected: rank 1 .* <-> \*" "$tmp/out" && grep -q "rank 1: test failed" "$tmp/err"'
	check "the other pair is measured" [ "$(awk '$1 == "GB/s" && $2 == 0 { print $4, ($5 > 0) }' "$tmp/out")" = 'x 1' ]
	check "JSON: two pairs of three failed" [ "$($get "$tmp/j" failed)" = 2 ]
	own[0]=FAULTY_HOW=stall
	ranks 2 "${quick[@]}" --plugin "$faulty" --timeout 5
	check "a rank that never completes: exit 3 after --timeout" \
		eval '[ "${rcs[*]}" = "3 3" ] && grep -q "did not answer within 5 s" "$tmp/err"'
	unset FAULTY_INNER FAULTY_EVERY FAULTY_HOW
else
	skip "faults" "tests/bench/faulty_plugin was not built"
fi
run --ranks 3 --plugin "$tmp/none.so" "${quick[@]}"
check "a plugin that is not there: nothing is connected" \
	eval '[ "$rc" = 3 ] && [ "$(grep -c "^# not connected: rank . .* <-> \*" "$tmp/out")" = 3 ] && grep -q none.so "$tmp/err"'

# A rank that is killed.
pids=()
for rank in 0 1; do
	RANK=$rank WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port WEFT_NICS=lo \
		timeout -k 5 300 "$pair" --time-ms 200000 --timeout 300 >"$tmp/out$rank" 2>"$tmp/err$rank" &
	pids[rank]=$!
done
for ((i = 0; i < 600; i++)); do
	inner='' worker=''
	read -r inner _ <"/proc/${pids[1]}/task/${pids[1]}/children"
	[ -z "$inner" ] || read -r worker _ <"/proc/$inner/task/$inner/children"
	[ -z "$worker" ] || break
	sleep 0.1
done
kill -KILL "$inner"
wait "${pids[1]}"
wait "${pids[0]}"
rc=$?
cp "$tmp/err0" "$tmp/err"
check "a rank that is killed: the others end and name it" eval '[ "$rc" = 3 ] && grep -q "rank 1 (.*) died" "$tmp/err"'

run --ranks 2 "${quick[@]}" --json "$tmp/no/such"
check "a JSON file that cannot be written" eval '[ "$rc" = 1 ] && grep -q "cannot write" "$tmp/err"'
run --ranks 2 "${quick[@]}" --svg "$tmp/no/such"
check "a heat map that cannot be written" eval '[ "$rc" = 1 ] && grep -q "cannot write" "$tmp/err"'
run --ranks 2 "${quick[@]}" --csv /dev/full
check "a CSV file without room" eval '[ "$rc" = 1 ] && grep -q "cannot write /dev/full" "$tmp/err"'

while IFS= read -r line; do
	read -ra args <<<"$line"
	run "${args[@]}"
	check "refused: ${line:-no ranks}" eval '[ "$rc" = 2 ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" = 1 ]'
done <<'BAD'

--ranks 1
--ranks 2 --least 1
--ranks 2 --least x
--ranks 2 --least -0.1
--ranks 2 --threads 2
--ranks 2 --depth 33
--ranks 2 -b 0
--ranks 2 extra
BAD
RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 run --ranks 2
check "--ranks under a launcher is refused" eval '[ "$rc" = 2 ] && grep -q "rank 0 of 2" "$tmp/err"'
tap_done
