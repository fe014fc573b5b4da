#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make bench: prints a table of Weft's goals and of the results on this machine, and writes all measurements to one JSON
# file. Missed goals are not failures. Run it from the build tree.
#
#   BENCH_QUICK=1                a few points, as a test of the script
#   BENCH_PAIRS=10000            number of connections to open (1000)
#   BENCH_VERSUS=PATH            another plugin to compare with, besides plain sockets; of many comms, instead of raw libfabric
#   BENCH_VERSUS_ENV="A=1 B=2"   its settings
#   BENCH_JSON=PATH              path of the JSON file (bench.json)
#
# $1, $5 and so on in quotes are columns of weft_net_perf's table, for awk.
# shellcheck disable=SC2016
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${TEST_BUILDDIR:?run by make bench}" || exit 1
perf=benchmarks/weft_net_perf
self=benchmarks/weft_self_perf
plugin=src/.libs/libnccl-net-weft.so
pairs=${BENCH_PAIRS:-1000}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
effort=(--time-ms 600 --reps 9)
fresh=(--fresh --time-ms 1000 --reps 15) # for tcp's connections, which are of two speeds
small=(-b 8 -e 8K -f 4)
rate=(-b 64 -e 4K -f 4)
large=(-b 128K -e 4M -f 2)
all=(-b 8 -e 4M -f 4)
eager_sizes=(-b 8 -e 4K -f 8)
mixed=(--reps 9)
often=5
spread=(1:1 4:1 4:2 16:1 16:2) # comms and threads
repeats=9                      # of the collectives
get=tests/bench/net_perf_json
if [ -n "${BENCH_QUICK-}" ]; then
	effort=(--time-ms 20 --reps 2)
	fresh=(--fresh "${effort[@]}")
	small=(-b 8 -e 8K -f 1024) rate=(-b 64 -e 4K -f 64) large=(-b 128K -e 4M -f 32) all=(-b 8 -e 4M -f 2048)
	eager_sizes=(-b 8 -e 4K -f 512)
	mixed=(--reps 1 --iters 100)
	pairs=${BENCH_PAIRS:-20}
	often=1
	spread=(4:2)
	repeats=2
fi

# Runs weft_net_perf; its table goes to the terminal and to $tmp/NAME, its JSON to $tmp/NAME.json.
measure() { # name, arguments...
	local name=$1
	shift
	echo "# $name: weft_net_perf $*" >&2
	"$perf" "$@" --json "$tmp/$name.json" >"$tmp/$name" 2>"$tmp/$name.err" || {
		sed 's/^/#   /' "$tmp/$name.err" >&2
		rm -f "$tmp/$name" "$tmp/$name.json"
		return
	}
	grep -v '^#' "$tmp/$name" >&2
}

# Writes one row of the table for weft_bench_table. Of several results, the row has the lowest and the highest.
row() { # measure, relation, goal, unit, result...
	local head="$1	$2	$3	$4"
	shift 4
	printf '%s\n' "$@" | sort -g | awk -v head="$head" '/./ { if (!n++) low = $1; high = $1 }
		END { printf "%s\t%s\t%s\n", head, low, high }' >>"$tmp/rows"
}

# Writes a row that compares: ratios on standard input, the larger the better. The table shows their median and quartiles,
# and says "tie" if the goal lies between the quartiles.
compared() { # measure, goal
	sort -g | awk -v head="$1	beats	$2	" '
		function q(p,    at, i) { at = 1 + (NR - 1) * p; i = int(at); return v[i] + (at - i) * (v[i + (i < NR)] - v[i]) }
		{ v[NR] = $1 }
		END { printf "%s\t%s\t%s\t%s\n", head, NR ? q(0.25) : "", NR ? q(0.75) : "", NR ? q(0.5) : "" }' >>"$tmp/rows"
}

# The ratios of a point, one for each repetition: side A and the other one took turns.
repetitions() { # run, number of the point, other side
	local i n
	n=$($get "$tmp/$1.json" points "$2" sides A values 2>/dev/null) || return
	for ((i = 0; i < n; i++)); do
		echo "$($get "$tmp/$1.json" points "$2" sides A values "$i") $($get "$tmp/$1.json" points "$2" sides "$3" values "$i")"
	done | awk '$2 > 0 { print $1 / $2 }'
}

# One value for each point of a pattern: an awk expression over the columns; the last but one is the ratio.
values() { # name, pattern, expression
	[ -s "$tmp/$1" ] && awk -v p="$2" "\$1 == p { print $3 }" "$tmp/$1"
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}

# Messages per second of T threads with C connections each, both ends on each thread.
threads() { # T, C
	local i
	for ((i = 0; i < often; i++)); do
		WEFT_PROVIDER=shm WEFT_PROTOCOL=rma timeout 100 $self --threads "$1" --comms "$2" -n $((6000 * often))
	done 2>/dev/null | sed -n 's/.*ms, \([0-9]*\) .*/\1/p' | median
}

first_device() { # field of weft_self_perf --init: what libfabric, and what the plugin took
	local i
	for ((i = 0; i < often; i++)); do
		$self --init
	done 2>/dev/null | awk -v f="$1" '{ print $f }' | median
}

# The number of costly calls per message that tests/cost found; empty if it could not count.
costs() {
	tests/cost/cost 2>/dev/null | awk '/^not ok/ { bad++ } /^ok/ && !/SKIP/ { ok++ } END { if (bad + ok) print bad + 0 }'
}

slow_rail() {
	(
		export FI_PROVIDER_PATH=$PWD/tests/fault/.libs WEFT_NICS='fault*' WEFT_PROTOCOL=rma WEFT_TEST_RAILS=4
		export FAULT_NICS=-@200,-@200,-@200,-@200 FAULT_RATE=20000000,20000000,5000000,20000000
		measure slow-rail --provider fault --pattern bandwidth -b 512K -e 4M -f 2 --time-ms 1500 --reps 3
		values slow-rail bandwidth '$5 / 0.065'
	)
}

against_raw() {
	local p protocol
	measure tcp-latency --provider tcp --pattern latency "${small[@]}" --raw "${fresh[@]}"
	row "half round trip, 8 B to 8 KiB, tcp, against raw libfabric" "at most" 1.10 "" "$(values tcp-latency latency '$(NF - 1)')"
	measure shm-latency --provider shm --env-a WEFT_PROTOCOL=rma --pattern latency "${small[@]}" --raw "${effort[@]}"
	row "the same on shm, less raw libfabric" "at most" 0.3 us "$(values shm-latency latency '$5 - $7')"
	for p in tcp shm; do
		protocol=()
		[ $p = tcp ] || protocol=(--env-a WEFT_PROTOCOL=rma)
		measure $p-bandwidth --provider $p "${protocol[@]}" --pattern bandwidth "${large[@]}" --raw "${effort[@]}"
		row "streaming, 128 KiB to 4 MiB x 8, $p, against raw libfabric" "at least" 0.95 "" \
			"$(values $p-bandwidth bandwidth '$(NF - 1)')"
	done
	measure tcp-rate --provider tcp --pattern rate "${rate[@]}" --raw "${fresh[@]}"
	row "message rate, 64 B to 4 KiB x 32, tcp, against raw libfabric" "at least" 0.85 "" "$(values tcp-rate rate '$(NF - 1)')"
}

against_rivals() {
	local socket rival name env
	socket=$(compgen -G 'tests/bench/.libs/*socket_plugin.so' | head -1)
	for rival in ${socket:+"sockets=$socket"} ${BENCH_VERSUS:+"rival=$BENCH_VERSUS"}; do
		name=${rival%%=*} env=()
		[ "$name" = rival ] && [ -n "${BENCH_VERSUS_ENV-}" ] && env=(--env-b "$BENCH_VERSUS_ENV")
		measure "$name" --provider tcp --pattern latency,bandwidth "${all[@]}" --versus "${rival#*=}" "${env[@]}" \
			"${effort[@]}"
		row "half round trip, 8 B to 4 MiB, tcp, against $name" below 1 "" "$(values "$name" latency '$(NF - 1)')"
		row "bandwidth, 8 B to 4 MiB x 8, tcp, against $name" "at least" 1 "" "$(values "$name" bandwidth '$(NF - 1)')"
		[ "$name" = rival ] || continue
		row "the same, 32 KiB to 512 KiB" "at least" 1.5 "" \
			"$(values rival bandwidth '$2 >= 32768 && $2 <= 524288 ? $(NF - 1) : ""')"
	done
}

# Many comms at once, as NCCL's channels use them, against the rival, or raw libfabric.
many_comms() {
	local one comms threads name what side=raw against=(--raw) whom="raw libfabric" bandwidth=0.95 rate_goal=0.85
	if [ -n "${BENCH_VERSUS-}" ]; then
		side=B against=(--versus "$BENCH_VERSUS" ${BENCH_VERSUS_ENV:+--env-b "$BENCH_VERSUS_ENV"}) whom=rival bandwidth=1 rate_goal=1
	fi
	for one in "${spread[@]}"; do
		comms=${one%:*} threads=${one#*:} name=comms-${one%:*}-${one#*:}
		what="$comms comm$([ "$comms" = 1 ] || echo s) on $threads thread$([ "$threads" = 1 ] || echo s), tcp"
		measure "$name" --provider tcp --comms "$comms" --threads "$threads" --pattern bandwidth -b 64K -e 1M -f 16 \
			"${against[@]}" "${effort[@]}"
		measure "$name-rate" --provider tcp --comms "$comms" --threads "$threads" --pattern rate -b 64 -e 64 \
			"${against[@]}" "${effort[@]}"
		repetitions "$name" 0 "$side" | compared "$what, 64 KiB, against $whom" "$bandwidth"
		repetitions "$name" 1 "$side" | compared "$what, 1 MiB, against $whom" "$bandwidth"
		repetitions "$name-rate" 0 "$side" | compared "$what, rate of 64 B, against $whom" "$rate_goal"
	done
}

# One all-reduce: sizes and microseconds.
all_reduce() { # ranks, A or B, plugin
	local settings=(WEFT_PROVIDER=tcp)
	[ "$2" = A ] || read -ra settings <<<"${BENCH_VERSUS_ENV-}"
	env "${settings[@]}" timeout 300 benchmarks/all_reduce_perf --ranks "$1" --plugin "$3" -b 1K -e 4M -f 64 -n 20 -w 5 -c 0 \
		2>/dev/null | awk '!/^#/ && $1 > 0 && $6 > 0 { print $1, $6 }'
}

# Ring all-reduces of 2 and 4 ranks against the rival, or plain sockets; the plugins take turns.
collectives() {
	local other=${BENCH_VERSUS-} whom=rival ranks rep size side
	[ -n "$other" ] || { other=$(compgen -G 'tests/bench/.libs/*socket_plugin.so' | head -1) whom=sockets; }
	local -A sizes=([1024]="1 KiB" [65536]="64 KiB" [4194304]="4 MiB")
	for ranks in 2 4; do
		echo "# all-reduce of $ranks ranks, against $whom" >&2
		: >"$tmp/turns"
		for ((rep = 0; rep < repeats; rep++)); do
			for side in $([ $((rep % 2)) = 0 ] && echo A B || echo B A); do
				all_reduce "$ranks" "$side" "$([ "$side" = A ] && echo "$plugin" || echo "$other")" >"$tmp/turn.$side"
			done
			join "$tmp/turn.A" "$tmp/turn.B" >>"$tmp/turns"
		done
		for size in 1024 65536 4194304; do
			awk -v s="$size" '$1 == s { print $3 / $2 }' "$tmp/turns" |
				compared "all-reduce of $ranks ranks, ${sizes[$size]}, tcp, speed against $whom" 1
		done
	done
}

# Adaptive eager must not be slower than off or on.
eager_or_not() {
	local eager
	for eager in off on; do
		measure eager-$eager --provider tcp --pattern latency,rate "${eager_sizes[@]}" --versus $plugin \
			--env-b WEFT_EAGER=$eager "${effort[@]}"
		row "half round trip, 8 B to 4 KiB, tcp, adaptive against eager $eager" "at most" 1 "" \
			"$(values eager-$eager latency '$(NF - 1)')"
		row "message rate, 8 B to 4 KiB x 32, tcp, adaptive against eager $eager" "at least" 1 "" \
			"$(values eager-$eager rate '$(NF - 1)')"
		measure workload-$eager --provider tcp --workload 8 --versus $plugin --env-b WEFT_EAGER=$eager "${mixed[@]}"
		row "workload, messages/s, adaptive against eager $eager" "at least" 1 "" "$(values workload-$eager A/B '$2')"
		row "workload, median wait of small messages, against eager $eager" "published" "" "" \
			"$(values workload-$eager A/B '$4')"
	done
}

own_cost() {
	local bytes end most
	for bytes in 64 64K; do
		WEFT_PROVIDER=tcp "$here/instructions.sh" $bytes >"$tmp/instructions" 2>"$tmp/err" || sed 's/^/# /' "$tmp/err" >&2
		for end in send recv; do
			most=300
			[ $end$bytes = send64 ] && most=200
			row "our own instructions, i$end to completion, $bytes, tcp" "at most" $most "" \
				"$(awk -v e=$end '$1 == "i" e { print $2 }' "$tmp/instructions")"
		done
	done
	row "kinds of message that allocate, log or call the kernel" "at most" 0 "" "$(costs)"
}

connections() {
	local many=$((pairs < 1000 ? pairs : 1000))
	measure pairs --provider tcp --pairs "$pairs" --timeout 600
	row "memory of one more idle connection pair, at $many" "at most" 8 KiB "$(values pairs "$many" '$3')"
	row "memory of all, the first one's too, by $many" "at most" 8 KiB "$(values pairs "$many" '$4 / $1')"
	row "set-up of a connection pair, 10 to $pairs pairs, tcp" "published" "" us \
		"$(awk '$1 >= 10 { print $2 }' "$tmp/pairs" 2>/dev/null)"
	row "from loading the plugin to its first device, beyond libfabric" "at most" 20 ms "$(first_device 2)"
	row "what libfabric takes for that" "published" "" ms "$(first_device 1)"
}

scale() {
	local one four
	one=$(threads 1 1) four=$(threads 4 4)
	row "4 threads x 4 comms against 1 x 1, shm, messages/s" "at least" "$(($(nproc) < 4 ? $(nproc) : 4))" "" \
		"$(awk -v a="$four" -v b="$one" 'BEGIN { if (a && b) print a / b }')"
	row "a slow rail, one of 4 at a quarter, of what all can carry" "at least" 0.9 "" "$(slow_rail)"
}

against_raw
against_rivals
many_comms
collectives
eager_or_not
own_cost
connections
scale
runs=()
for f in "$tmp"/*.json; do
	[ -s "$f" ] && runs+=("$(basename "$f" .json)=$f")
done
echo >&2
benchmarks/weft_bench_table "${BENCH_JSON:-bench.json}" "${runs[@]}" <"$tmp/rows"
