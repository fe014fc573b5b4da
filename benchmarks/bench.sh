#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make bench: prints a table of Weft's goals and of the results on this machine, and writes all measurements to one JSON
# file. Missed goals are not failures. Run it from the build tree.
#
#   BENCH_QUICK=1                a few points, as a test of the script
#   BENCH_LONG=1                 also each size against the other plugin, more comms, both ways, collectives and ranks,
#                                connections that are capped, two NICs (as root), memory with several streams: an hour
#   BENCH_PARTS="scale capped"   only these parts, of those at the end of this file
#   BENCH_PAIRS=10000            number of connections to open (1000)
#   BENCH_VERSUS=PATH            another plugin to compare with, besides plain sockets; of many comms, instead of raw libfabric
#   BENCH_VERSUS_ENV="A=1 B=2"   its settings
#   BENCH_PROVIDER=shm           provider of Weft where it is compared with that plugin (tcp)
#   BENCH_JSON=PATH              path of the JSON file (bench.json)
#
# $1, $5 and so on in quotes are columns of weft_net_perf's table, for awk.
# shellcheck disable=SC2016
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/netns.bash
. "$here/../tests/check/netns.bash"
# shellcheck source=tests/hosts/pair.bash
. "$here/../tests/hosts/pair.bash"
cd "${TEST_BUILDDIR:?run by make bench}" || exit 1
perf=benchmarks/weft_net_perf
self=benchmarks/weft_self_perf
plugin=src/.libs/libnccl-net-weft.so
provider=${BENCH_PROVIDER:-tcp}
pairs=${BENCH_PAIRS:-1000}
tmp=$(mktemp -d)
trap 'pair_down; rm -rf "$tmp"' EXIT
: >"$tmp/rows"
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
moves=bandwidth rates=rate     # patterns of many comms
repeats=9                      # of the collectives
programs=(all_reduce)
teams=(2 4)
short=(-b 1K -e 64K -f 64 -n 20 -w 5)
long=(-b 4M -e 4M -n 20 -w 5)
get=tests/bench/net_perf_json
parts="against_raw against_rivals many_comms collectives eager_or_not own_cost connections scale"
if [ -n "${BENCH_LONG-}" ]; then
	parts+=" each_size capped nics stream_memory"
	spread=(1:1 2:1 4:1 4:2 8:1 8:2 16:1 16:2) moves=bandwidth,bidir rates=rate,birate
	programs=(all_reduce all_gather alltoall) teams=(2 4 8)
	short=(-b 64 -e 256K -f 16 -n 20 -w 5) long=(-b 4M -e 64M -f 16 -n 3 -w 1)
fi
if [ -n "${BENCH_QUICK-}" ]; then
	effort=(--time-ms 20 --reps 2)
	fresh=(--fresh "${effort[@]}")
	small=(-b 8 -e 8K -f 1024) rate=(-b 64 -e 4K -f 64) large=(-b 128K -e 4M -f 32) all=(-b 8 -e 4M -f 2048)
	eager_sizes=(-b 8 -e 4K -f 512)
	mixed=(--reps 1 --iters 100)
	pairs=${BENCH_PAIRS:-20}
	often=1
	spread=(4:2)
	repeats=2 teams=(2 4) short=(-b 1K -e 64K -f 64 -n 2 -w 1) long=(-b 1M -e 1M -n 2 -w 1)
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

# How many times as fast side A was at a point, one line for each repetition: it and the other side took turns.
repetitions() { # run, number of the point, other side
	local i n unit
	unit=$($get "$tmp/$1.json" points "$2" unit 2>/dev/null)
	n=$($get "$tmp/$1.json" points "$2" sides A values 2>/dev/null) || return
	for ((i = 0; i < n; i++)); do
		echo "$($get "$tmp/$1.json" points "$2" sides A values "$i") $($get "$tmp/$1.json" points "$2" sides "$3" values "$i")"
	done | awk -v unit="$unit" '$1 > 0 && $2 > 0 { print unit == "us" ? $2 / $1 : $1 / $2 }'
}

sized() { # bytes
	awk -v b="$1" 'BEGIN { print b < 1024 ? b " B" : b < 1048576 ? b / 1024 " KiB" : b / 1048576 " MiB" }'
}

# A row for each point of a run.
each_point() { # run, other side, goal, beginning and end of the measures' names
	local i n pattern
	local -A names=([latency]="half round trip" [bandwidth]=streaming [rate]="message rate"
		[bidir]="streaming both ways" [birate]="message rate both ways")
	n=$($get "$tmp/$1.json" points 2>/dev/null) || n=0
	[ "$n" -gt 0 ] || compared "$4all$5" "$3" </dev/null
	for ((i = 0; i < n; i++)); do
		pattern=$($get "$tmp/$1.json" points "$i" pattern)
		repetitions "$1" "$i" "$2" |
			compared "$4${names[$pattern]}, $(sized "$($get "$tmp/$1.json" points "$i" bytes)")$5" "$3"
	done
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

# Sets `side`, `against` and `whom`: the rival, or else raw libfabric.
choose_other() {
	side=raw against=(--raw) whom="raw libfabric"
	[ -n "${BENCH_VERSUS-}" ] || return
	side=B against=(--versus "$BENCH_VERSUS" ${BENCH_VERSUS_ENV:+--env-b "$BENCH_VERSUS_ENV"}) whom=rival
}

# Many comms at once, as NCCL's channels use them, against the rival, or raw libfabric.
many_comms() {
	local one comms threads name what side against whom bandwidth=0.95 rate_goal=0.85
	choose_other
	[ "$side" = raw ] || bandwidth=1 rate_goal=1
	for one in "${spread[@]}"; do
		comms=${one%:*} threads=${one#*:} name=comms-${one%:*}-${one#*:}
		what="$comms comm$([ "$comms" = 1 ] || echo s) on $threads thread$([ "$threads" = 1 ] || echo s), "
		measure "$name" --provider "$provider" --comms "$comms" --threads "$threads" --pattern $moves -b 64K -e 1M -f 16 \
			"${against[@]}" "${effort[@]}"
		measure "$name-rate" --provider "$provider" --comms "$comms" --threads "$threads" --pattern $rates -b 64 -e 64 \
			"${against[@]}" "${effort[@]}"
		each_point "$name" "$side" $bandwidth "$what" ", $provider, against $whom"
		each_point "$name-rate" "$side" $rate_goal "$what" ", $provider, against $whom"
	done
}

# Each size alone, in new processes for each repetition.
each_size() {
	local side against whom goal=1
	choose_other
	[ "$side" = B ] || goal=0.95
	measure each-size --provider "$provider" --pattern latency,bandwidth "${all[@]}" "${against[@]}" "${fresh[@]}"
	measure each-rate --provider "$provider" --pattern rate "${rate[@]}" "${against[@]}" "${fresh[@]}"
	each_point each-size "$side" $goal "" ", $provider, speed against $whom"
	each_point each-rate "$side" $goal "" ", $provider, speed against $whom"
}

# One run of a collective: sizes and microseconds. `around` holds settings of both sides.
around=()
collective() { # A or B, program, arguments...
	local settings=("WEFT_PROVIDER=$provider") program=$2 of=$plugin
	[ "$1" = A ] || { of=$other && read -ra settings <<<"${BENCH_VERSUS_ENV-}"; }
	shift 2
	env "${around[@]}" "${settings[@]}" timeout 300 "benchmarks/${program}_perf" --plugin "$of" -c 0 "$@" 2>/dev/null |
		awk '!/^#/ && $1 > 0 && $6 > 0 { print $1, $6 }'
}

# Sets `other` and `whom`: the rival, or else plain sockets.
choose_plugin() {
	other=${BENCH_VERSUS-} whom=rival
	[ -n "$other" ] || { other=$(compgen -G 'tests/bench/.libs/*socket_plugin.so' | head -1) whom=sockets; }
}

# A collective against the other plugin; they take turns. Leaves size and both times in $tmp/turns.
turns() { # measure, program, arguments...
	local what=$1 rep side size
	shift
	echo "# $what: $*" >&2
	: >"$tmp/turns"
	for ((rep = 0; rep < repeats; rep++)); do
		for side in $([ $((rep % 2)) = 0 ] && echo A B || echo B A); do
			collective "$side" "$@" >"$tmp/turn.$side"
		done
		awk 'NR == FNR { a[$1] = $2; next } $1 in a { print $1, a[$1], $2 }' "$tmp/turn.A" "$tmp/turn.B" >>"$tmp/turns"
	done
	[ -s "$tmp/turns" ] || compared "$what, speed against $whom" 1 </dev/null
	cut -d' ' -f1 "$tmp/turns" | sort -nu | while read -r size; do
		awk -v s="$size" '$1 == s { print $3 / $2 }' "$tmp/turns" | compared "$what, $(sized "$size"), speed against $whom" 1
	done
}

collectives() {
	local other whom ranks program
	choose_plugin
	for program in "${programs[@]}"; do
		for ranks in "${teams[@]}"; do
			turns "${program//_/-} of $ranks ranks, $provider" "$program" --ranks "$ranks" "${short[@]}"
			turns "${program//_/-} of $ranks ranks, $provider" "$program" --ranks "$ranks" "${long[@]}"
		done
	done
}

# 8 channels over connections that carry 20 MB/s each, as clouds cap them. Where they carry more, the kernel paces none.
capped() {
	local other whom program around
	choose_plugin
	around=("LD_PRELOAD=$PWD/$(compgen -G 'tests/bench/.libs/*capped.so' | head -1)" CAPPED_RATE=20000000 WEFT_STREAMS=8)
	for program in all_reduce sendrecv; do
		turns "${program//_/-} of 2 ranks, 8 capped connections" "$program" --ranks 2 --channels 8 -b 4M -e 32M -f 8 -n 2 -w 1
	done
	row "the same, of 8 caps" "at least" 0.9 "" "$(awk '$1 / $2 < 320 { print $1 / $2 / 160 }' "$tmp/turns")"
}

# Two NICs of unequal speed between two hosts, as one device: their share of both alone.
nics() {
	local i
	if [ -z "$(netns_missing)" ] && command -v tc >/dev/null && pair_up && pair_shape e0 1gbit 512k && pair_shape e1 100mbit; then
		for ((i = 0; i < often; i++)); do
			echo "$(pair_rate e0 32M "$tmp/e0") $(pair_rate e1 4M "$tmp/e1") $(pair_rate e0,e1 32M "$tmp/both")"
		done
	fi | awk 'NF == 3 { print $3 / ($1 + $2) }' | compared "two NICs, 1 Gbit/s and 100 Mbit/s, of their sum" 0.9
	pair_down
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

# More streams cost the first pair, not the others.
stream_memory() {
	local many=$((pairs < 1000 ? pairs : 1000)) streams
	for streams in 1 4 8; do
		measure pairs-$streams --provider tcp --env-a WEFT_STREAMS=$streams --pairs "$many" --timeout 600
		row "memory of one more idle connection pair, at $many, $streams streams" "at most" 8 KiB \
			"$(values pairs-$streams "$many" '$3')"
		row "memory of the first pair, $streams streams" "published" "" KiB "$(values pairs-$streams 1 '$4')"
	done
	[ -n "${BENCH_VERSUS-}" ] || return
	measure rival-pairs --plugin "$BENCH_VERSUS" ${BENCH_VERSUS_ENV:+--env-a "$BENCH_VERSUS_ENV"} --pairs "$many" --timeout 600
	row "memory of one more idle connection pair of the rival" "published" "" KiB "$(values rival-pairs "$many" '$3')"
}

scale() {
	local one four
	one=$(threads 1 1) four=$(threads 4 4)
	row "4 threads x 4 comms against 1 x 1, shm, messages/s" "at least" "$(($(nproc) < 4 ? $(nproc) : 4))" "" \
		"$(awk -v a="$four" -v b="$one" 'BEGIN { if (a && b) print a / b }')"
	row "a slow rail, one of 4 at a quarter, of what all can carry" "at least" 0.9 "" "$(slow_rail)"
}

for part in ${BENCH_PARTS:-$parts}; do
	"$part"
done
runs=()
for f in "$tmp"/*.json; do
	[ -s "$f" ] && runs+=("$(basename "$f" .json)=$f")
done
echo >&2
benchmarks/weft_bench_table "${BENCH_JSON:-bench.json}" "${runs[@]}" <"$tmp/rows"
