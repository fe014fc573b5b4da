#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The script of make bench with a few points: every row has a result, and the JSON is complete. The figures are not
# tested.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/check/netns.bash
. "$here/../check/netns.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
BENCH_QUICK=1 BENCH_JSON=$tmp/json "$here/../../benchmarks/bench.sh" >"$tmp/out" 2>"$tmp/err"
rc=$?
none "ends well" "$([ $rc = 0 ] || { echo "exit $rc"; tail -n 5 "$tmp/err"; })"
without=instructions # what a machine without valgrind may lack
command -v valgrind >/dev/null && without=nothing
none "every row has a result" "$(grep 'not measured' "$tmp/out" | grep -v "$without")"
none "every verdict is one of six" "$(sed '1,/^measure/d; /^$/,$d' "$tmp/out" | grep -vE ' (met|met in part|missed|tie|published|not measured)$')"
rows=$(tests/bench/net_perf_json "$tmp/json" table)
if [ "$rows" -ge 36 ]; then ok "all rows"; else bad "all rows" "$(cat "$tmp/out")"; fi
for run in tcp-latency shm-latency tcp-bandwidth shm-bandwidth tcp-rate sockets comms-4-2 comms-4-2-rate workload-off pairs slow-rail; do
	if [ "$(tests/bench/net_perf_json "$tmp/json" runs $run wrong)" = 0 ]; then
		ok "$run is in the JSON, nothing wrong"
	else
		bad "$run is in the JSON, nothing wrong" "$(grep -A5 "# $run" "$tmp/err")"
	fi
done

# What only the long run has, against another plugin.
unmeasured=nothing # what needs root, or a library that is preloaded
[ -n "$(netns_missing)" ] || ! command -v tc >/dev/null && unmeasured="two NICs"
[ -z "${TEST_SANITIZER-}" ] || unmeasured+="|cap"
BENCH_QUICK=1 BENCH_LONG=1 BENCH_PARTS="each_size many_comms collectives capped nics stream_memory" BENCH_JSON=$tmp/json \
	BENCH_VERSUS=$(compgen -G 'tests/bench/.libs/*socket_plugin.so' | head -1) \
	"$here/../../benchmarks/bench.sh" >"$tmp/out" 2>"$tmp/err"
for what in "half round trip, 8 B, tcp, speed against rival" "message rate, 4 KiB, tcp" "message rate both ways, 64 B" \
	"all-gather of 2 ranks, tcp, 64 KiB" "alltoall of 2 ranks, tcp, 1 MiB" "all-reduce of 2 ranks, 8 capped connections, 4 MiB" \
	"the same, of 8 caps" "two NICs" "memory of the first pair, 8 streams" "connection pair of the rival"; do
	found=$(grep -F "$what" "$tmp/out")
	if [ -n "$found" ] && { [[ $found != *"not measured"* ]] || [[ $what =~ $unmeasured ]]; }; then
		ok "long run: $what"
	else
		bad "long run: $what" "$found" "$(tail -n 5 "$tmp/err")"
	fi
done

# The format alone: verdicts, and malformed measures.
table=benchmarks/weft_bench_table
verdict() { # relation, goal, lowest, highest, expected
	local out
	out=$(printf 'it\t%s\t%s\tus\t%s\t%s\n' "$1" "$2" "$3" "$4" | "$table" "$tmp/one")
	if [ "$(tests/bench/net_perf_json "$tmp/one" table 0 verdict)" = "$5" ] && grep -q "^it .* $5\$" <<<"$out"; then
		ok "$1 $2: $3 to $4 is $5"
	else
		bad "$1 $2: $3 to $4 is $5" "$out"
	fi
}
verdict "at most" 1.1 0.9 1.1 met
verdict "at most" 1.1 0.9 1.2 "met in part"
verdict "at most" 1.1 1.2 1.2 missed
verdict "at least" 0.95 0.9 1 "met in part"
verdict "at least" 0.95 0.95 1 met
verdict below 1 1 1 missed
verdict below 1 0.5 0.999 met
verdict published "" 7 9 published
verdict "at most" 1 "" "" "not measured"
verdict beats 1 1.1 "1.3	1.2" met
verdict beats 1 0.9 "1.2	1.1" tie
verdict beats 1 0.9 "1	0.95" tie
verdict beats 1 0.7 "0.9	0.8" missed
verdict beats 1 "" "	" "not measured"
none "a comparison shows median and quartiles" "$(
	printf 'it\tbeats\t1\t\t0.9\t1.2\t1.1\n' | "$table" "$tmp/one" | grep '^it ' | grep -v ' 1.1 (0.9 to 1.2) *tie$'
)"
while IFS= read -r line; do
	if printf "%b\n" "$line" | "$table" "$tmp/one" >"$tmp/out" 2>"$tmp/err"; then
		bad "refused: $line" "$(cat "$tmp/out")"
	else
		ok "refused: $line"
	fi
done <<'BAD'
it\tat most\t1
it\tat most\t1\tus\t1\t1\t1
it\tat best\t1\tus\t1\t1
it\tat most\tone\tus\t1\t1
it\tat most\t1\tus\t1\t
it\tbeats\t1\t\t1\t1
it\tbeats\t1\t\t1\t1\t
it\tat most\t1\tus\t1x\t2
BAD
none "a run that is no JSON is refused" "$(echo "{" >"$tmp/broken"
	"$table" "$tmp/one" "run=$tmp/broken" </dev/null 2>/dev/null | grep everything)"
none "a JSON file that can't be written is an error" "$("$table" "$tmp/no/such" </dev/null 2>/dev/null | grep everything)"
tap_done
