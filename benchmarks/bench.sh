#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make bench: the table of what Weft wants to reach and what it reaches here, and one JSON file with everything
# that was measured. Never fails for a figure. Run from the build tree.
#
#   BENCH_QUICK=1                a few points, to see that it works
#   BENCH_PAIRS=10000            connections to open (1000)
#   BENCH_VERSUS=PATH            a rival's plugin, besides plain sockets
#   BENCH_VERSUS_ENV="A=1 B=2"   its settings
#   BENCH_JSON=PATH              where to (bench.json)
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
if [ -n "${BENCH_QUICK-}" ]; then
	effort=(--time-ms 20 --reps 2)
	fresh=(--fresh "${effort[@]}")
	small=(-b 8 -e 8K -f 1024) rate=(-b 64 -e 4K -f 64) large=(-b 128K -e 4M -f 32) all=(-b 8 -e 4M -f 2048)
	eager_sizes=(-b 8 -e 4K -f 512)
	mixed=(--reps 1 --iters 100)
	pairs=${BENCH_PAIRS:-20}
	often=1
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

# One row of the table, as weft_bench_table reads it. The result may be several values: lowest and highest count.
row() { # measure, relation, goal, unit, result...
	local head="$1	$2	$3	$4"
	shift 4
	printf '%s\n' "$@" | sort -g | awk -v head="$head" '/./ { if (!n++) low = $1; high = $1 }
		END { printf "%s\t%s\t%s\n", head, low, high }' >>"$tmp/rows"
}

# A value of each of a pattern's points: awk's expression over the columns, of which the last but one is the ratio.
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

# Calls per message that cost: none, or what the test has found; nothing when it found no way to look.
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

# Adaptive eager must lose neither to off nor to on.
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
	local bytes end
	for bytes in 64 64K; do
		WEFT_PROVIDER=tcp "$here/instructions.sh" $bytes >"$tmp/instructions" 2>"$tmp/err" || sed 's/^/# /' "$tmp/err" >&2
		for end in send recv; do
			row "our own instructions, i$end to completion, $bytes, tcp" "at most" 300 "" \
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
