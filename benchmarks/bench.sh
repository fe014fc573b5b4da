#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make bench: the table of what Weft wants to reach and what it reaches here, and one JSON file with everything
# that was measured. Never fails for a figure. Run from the build tree.
#
#   BENCH_QUICK=1       a few points, to see that it works
#   BENCH_PAIRS=10000   connections to open (1000)
#   BENCH_VERSUS=PATH   a rival's plugin, besides plain sockets
#   BENCH_JSON=PATH     where to (bench.json)
set -u
cd "${TEST_BUILDDIR:?run by make bench}" || exit 1
perf=benchmarks/weft_net_perf
self=benchmarks/weft_self_perf
plugin=src/.libs/libnccl-net-weft.so
json=${BENCH_JSON:-bench.json}
pairs=${BENCH_PAIRS:-1000}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
effort=(--time-ms 600 --reps 9)
small=(-b 8 -e 8K -f 4)
rate=(-b 64 -e 4K -f 4)
large=(-b 128K -e 4M -f 2)
all=(-b 8 -e 4M -f 4)
if [ -n "${BENCH_QUICK-}" ]; then
	effort=(--time-ms 20 --reps 2)
	small=(-b 8 -e 8K -f 1024) rate=(-b 64 -e 4K -f 64) large=(-b 128K -e 4M -f 32) all=(-b 8 -e 4M -f 2048)
	pairs=20
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

# The smallest and largest of a column (from the right: 2 is the ratio) of a pattern's rows.
range() { # name, pattern, column from the right
	[ -s "$tmp/$1" ] || return
	awk -v p="$2" -v c="$3" '$1 == p { v = $(NF - c + 1) + 0; if (!n++ || v < lo) lo = v; if (v > hi) hi = v }
		END { if (n) printf "%.3g to %.3g", lo, hi }' "$tmp/$1"
}

# Latency of A less that of raw, the largest: columns 5 and 7.
excess() { # name
	[ -s "$tmp/$1" ] || return
	awk '$1 == "latency" { v = $5 - $7; if (!n++ || v > hi) hi = v } END { if (n) printf "%+.2f us", hi }' "$tmp/$1"
}

rows=()
row() { # measure, goal, result
	rows+=("$(printf '%-66s %-22s %s' "$1" "$2" "${3:-not measured}")")
}

# Our own instructions for a message, both ends together: what 4000 messages more take, by callgrind.
instructions() { # bytes
	local n out=()
	command -v valgrind >/dev/null && command -v callgrind_annotate >/dev/null || return
	for n in 2000 6000; do
		valgrind --tool=callgrind --callgrind-out-file="$tmp/cg.$n" "$self" -b "$1" -n $n >/dev/null 2>&1 || return
		out+=("$(callgrind_annotate --threshold=100 "$tmp/cg.$n" |
			awk '/libnccl-net-weft/ { gsub(",", "", $1); sum += $1 } END { print sum + 0 }')")
	done
	echo $(((out[1] - out[0]) / 4000))
}

# Messages per second of T threads with C connections each, the median of five.
threads() { # T, C
	local i
	for i in 1 2 3 4 5; do
		WEFT_PROVIDER=shm WEFT_PROTOCOL=rma timeout 100 $self --threads "$1" --comms "$2" -n 30000
	done 2>/dev/null | sed -n 's/.*ms, \([0-9]*\) .*/\1/p' | sort -n | sed -n 3p
}

slow_rail() {
	(
		export FI_PROVIDER_PATH=$PWD/tests/fault/.libs WEFT_NICS='fault*' WEFT_PROTOCOL=rma WEFT_TEST_RAILS=4
		export FAULT_NICS=-@200,-@200,-@200,-@200 FAULT_RATE=20000000,20000000,5000000,20000000
		measure slow-rail --provider fault --pattern bandwidth -b 512K -e 4M -f 2 --time-ms 1500 --reps 3
		[ -s "$tmp/slow-rail" ] &&
			awk '$1 == "bandwidth" { v = $5 / 0.065; if (!n++ || v < lo) lo = v } END { printf "%.2f", lo }' \
				"$tmp/slow-rail"
	)
}

measure tcp-latency --provider tcp --pattern latency "${small[@]}" --raw "${effort[@]}"
row "half round trip, 8 B to 8 KiB, tcp, against raw libfabric" "at most 1.10" "$(range tcp-latency latency 2)"
measure shm-latency --provider shm --env-a WEFT_PROTOCOL=rma --pattern latency "${small[@]}" --raw "${effort[@]}"
row "the same on shm, less raw libfabric" "at most +0.3 us" "$(excess shm-latency)"
for p in tcp shm; do
	protocol=()
	[ $p = tcp ] || protocol=(--env-a WEFT_PROTOCOL=rma)
	measure $p-bandwidth --provider $p "${protocol[@]}" --pattern bandwidth "${large[@]}" --raw "${effort[@]}"
	row "streaming, 128 KiB to 4 MiB x 8, $p, against raw libfabric" "at least 0.95" \
		"$(range $p-bandwidth bandwidth 2)"
done
measure tcp-rate --provider tcp --pattern rate "${rate[@]}" --raw "${effort[@]}"
row "message rate, 64 B to 4 KiB x 32, tcp, against raw libfabric" "at least 0.85" "$(range tcp-rate rate 2)"
socket=$(compgen -G 'tests/bench/.libs/*socket_plugin.so' | head -1)
for rival in ${socket:+"sockets=$socket"} ${BENCH_VERSUS:+"rival=$BENCH_VERSUS"}; do
	name=${rival%%=*}
	measure "$name" --provider tcp --pattern latency,bandwidth "${all[@]}" --versus "${rival#*=}" "${effort[@]}"
	row "half round trip, 8 B to 4 MiB, tcp, against $name" "below 1" "$(range "$name" latency 2)"
	row "bandwidth, 8 B to 4 MiB, tcp, against $name" "at least 1" "$(range "$name" bandwidth 2)"
done
for eager in off on; do
	measure workload-$eager --provider tcp --workload 8 --versus $plugin --env-b WEFT_EAGER=$eager --reps 5
	row "workload, messages/s, adaptive against eager $eager" "at least 1" \
		"$(awk '$1 == "A/B" { print $2 }' "$tmp/workload-$eager" 2>/dev/null)"
done
row "our own instructions per message, both ends, 64 B" "600" "$(instructions 64)"
row "our own instructions per message, both ends, 64 KiB" "600" "$(instructions 64K)"
row "allocations, system calls, log lines of ours per message" "0" \
	"$(tests/cost/cost 2>/dev/null | awk '/^ok/{ok++} /^not ok/{bad++} END{print bad ? bad " of " ok + bad " cases do some" : ok ? "0" : ""}')"
measure pairs --provider tcp --pairs "$pairs" --timeout 600
row "memory of one more idle connection pair, at $pairs" "at most 8 KiB" \
	"$(awk -v n="$pairs" '$1 == n { printf "%s KiB", $3 }' "$tmp/pairs" 2>/dev/null)"
row "connection set-up per pair, first rows and last, tcp" "linear" \
	"$(awk '$1 >= 10 && $1 != "0" { if (!n++) printf "%s", $2; last = $2 } END { printf " to %s us", last }' "$tmp/pairs" 2>/dev/null)"
row "from loading to the first device" "20 ms + libfabric" "$($self -n 1 2>/dev/null | sed -n 's/init \(.* ms\),.*/\1 with libfabric/p')"
one=$(threads 1 1) four=$(threads 4 4)
row "4 threads x 4 comms against 1 x 1, shm, $(nproc) cores" "$(nproc)" \
	"$(awk -v a="$four" -v b="$one" 'BEGIN { if (a && b) printf "%.2f", a / b }')"
row "a slow rail, one of 4 at a quarter, of what all can carry" "at least 0.9" "$(slow_rail)"

{
	printf '{"machine": "%s", "cores": %s, "table": [' "$(uname -srm)" "$(nproc)"
	for ((i = 0; i < ${#rows[@]}; i++)); do
		printf '%s\n "%s"' "$([ $i = 0 ] || echo ,)" "$(sed 's/  */ /g' <<<"${rows[i]}")"
	done
	printf '],\n"runs": {'
	first=1
	for f in "$tmp"/*.json; do
		[ -s "$f" ] || continue
		[ $first = 1 ] || printf ','
		first=0
		printf '\n"%s": ' "$(basename "$f" .json)"
		cat "$f"
	done
	printf '}}\n'
} >"$json"

printf '\n%-66s %-22s %s\n' "measure" "goal" "here"
printf '%s\n' "${rows[@]}"
printf '\neverything as JSON: %s\n' "$json"
