#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The virtual time of the software EFA device: measured latency, bandwidth and message rate equal the settings, through
# libfabric's efa provider and through Weft, and follow changes of the settings, whatever the load of this machine.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
# shellcheck source=tests/softefa/softefa.bash
. "$here/softefa.bash"
softefa_need
export WEFT_PROVIDER=efa WEFT_NICS='rdma*' WEFT_TOPOLOGY=$here/../topo/machines/p5.48xlarge.xml
# The device reads (from libfabric 1.17 on), and packets stay in order, so that only the model determines the results.
export FI_EFA_USE_DEVICE_RDMA=1 SOFTEFA_GENERATION=1 SOFTEFA_REORDER=1

# Assignments and options -> the results of Weft and of raw libfabric's tagged messages.
perf() {
	local measured
	measured=$(softefa SOFTEFA_TIME=1 "$@" --raw --raw-op tagged -c 0 --pin off --reps 1 2>&1)
	# pattern, bytes, depth, unit, Weft, its p99, raw
	awk '/^ *(latency|bandwidth|rate) / { print $5, $7; found = 1 } END { exit !found }' <<<"$measured" ||
		diag "$measured" >&2
}

nics() { # how many of a p5's first GPU, Mbit/s
	local i list=
	for ((i = 0; i < $1; i++)); do
		list+=,0000:$(printf %02x $((0x4f + i))):00.0@$2
	done
	echo "${list#,}"
}

between() { # description, least, value, most
	if awk -v a="$2" -v x="$3" -v b="$4" 'BEGIN { exit !(x + 0 == x && a <= x && x <= b) }'; then
		ok "$1"
	else
		bad "$1" "'$3' is not from $2 to $4"
	fi
}

small=(benchmarks/weft_net_perf --pattern latency -b 8 -e 8 -n 50)
large=(benchmarks/weft_net_perf --pattern bandwidth -b 8M -e 8M -n 8)
for us in 3 40; do
	read -r weft raw < <(perf SOFTEFA_NICS="$(nics 1 100000)" SOFTEFA_LATENCY_NS=${us}000 SOFTEFA_RATE=1000000000 "${small[@]}")
	between "8 bytes, latency of $us us: raw libfabric" $us "$raw" "$us.05"
	between "8 bytes, latency of $us us: Weft" $us "$weft" "$us.3"
done
read -r weft raw < <(perf SOFTEFA_NICS="$(nics 1 100000)" SOFTEFA_LATENCY_NS=3000 SOFTEFA_LOOK_NS=2000 "${small[@]}")
between "a look that finds nothing takes its time" 4 "$raw" 12
# Eight messages leave at once in each round trip of 20 us; none of them waits for the answer to another one.
read -r weft raw < <(perf SOFTEFA_NICS="$(nics 1 100000)" SOFTEFA_RATE=1000000000 \
	benchmarks/weft_net_perf --pattern bandwidth -b 1000 -e 1000 -n 800)
between "a burst leaves as a whole" 0.35 "$raw" 0.41
# In GB/s; packet headers take a hundredth.
for mbps in 50000 100000; do
	most=$(awk "BEGIN { print $mbps / 8000 }")
	read -r weft raw < <(perf SOFTEFA_NICS="$(nics 1 $mbps)" "${large[@]}")
	between "one NIC of $mbps Mbit/s: raw libfabric" "$(awk "BEGIN { print $most * 0.96 }")" "$raw" "$most"
	between "one NIC of $mbps Mbit/s: Weft" "$(awk "BEGIN { print $most * 0.95 }")" "$weft" "$most"
done
read -r weft raw < <(perf SOFTEFA_NICS="$(nics 4 100000)" "${large[@]}")
between "four NICs: Weft" 44 "$weft" 50
between "four NICs, of which raw libfabric uses one" 12 "$raw" 12.5
for rate in 20000 100000; do
	read -r weft raw < <(perf SOFTEFA_NICS="$(nics 1 100000)" SOFTEFA_RATE=$rate \
		benchmarks/weft_net_perf --pattern rate -b 64 -e 64 -n 1000)
	# The requests before the first and after the last reading of the clock are counted, too.
	between "$rate requests a second" "$(awk "BEGIN { print $rate * 0.9 }")" "$raw" "$(awk "BEGIN { print $rate * 1.01 }")"
done
tap_done
