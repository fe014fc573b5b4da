#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A simulation: latency and bandwidth, one way and both ways, from 8 B to 64 MiB, of a Weft comm over the four NICs of a
# p5's first GPU, and of raw libfabric over one of them, in the virtual time of the software EFA device. make
# softefa-curves runs it; it prints the tables of docs/performance.md. SOFTEFA_NICS, SOFTEFA_LATENCY_NS and SOFTEFA_RATE
# are used if set. CURVE_VERSUS: the shared object of another plugin, on all NICs, in place of raw libfabric; it is also
# compared in collectives of CURVE_RANKS (8) processes. WEFT_PROVIDER: efa or efa-direct.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "${TEST_BUILDDIR:?run by make softefa-curves}"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/dir"
nics=0000:4f:00.0@100000,0000:50:00.0@100000,0000:51:00.0@100000,0000:52:00.0@100000
export SOFTEFA_DIR=$tmp/dir SOFTEFA_TIME=1 SOFTEFA_REORDER=1
export SOFTEFA_GENERATION=${SOFTEFA_GENERATION-1} SOFTEFA_NICS=${SOFTEFA_NICS-$nics}
export WEFT_PROVIDER=${WEFT_PROVIDER-efa} WEFT_NICS='rdma*' WEFT_TOPOLOGY=${WEFT_TOPOLOGY-$here/../topo/machines/p5.48xlarge.xml}
export FI_EFA_USE_DEVICE_RDMA=1

against=(--raw) other=raw nics_of="one NIC"
[ -z "${CURVE_VERSUS-}" ] || against=(--versus "$CURVE_VERSUS") other=$(basename "$CURVE_VERSUS") nics_of="all NICs"

on_device() {
	LD_PRELOAD=$PWD/tests/softefa/.libs/libsoftefa.so FI_PROVIDER=efa "$@"
}

perf() { # messages, options
	local n=$1
	shift
	on_device benchmarks/weft_net_perf "${against[@]}" -c 0 --pin off --timeout 600 --reps "${REPS-3}" -n "$n" \
		--pattern latency,bandwidth,bidir "$@"
}

# Bytes and microseconds of a collective with a plugin.
collective() { # program, plugin
	on_device "benchmarks/$1" --plugin "$2" --ranks "${CURVE_RANKS-8}" -b 512 -e 32M -f 4 -n 10 -w 3 -c 0 2>&1 |
		awk '!/^#/ && NF == 13 { print $1, $6 }'
}

{
	perf 100 -b 8 -e 256K -f 8
	perf 16 -b 2M -e 16M -f 8
	perf 8 -b 64M -e 64M
} >"$tmp/out"
grep -m1 '^# raw: libfabric' "$tmp/out" || :
echo "| bytes | half round trip, µs: Weft | $other | GB/s, 8 deep: Weft, all NICs | $other, $nics_of | both ways: Weft | $other |"
echo "|---|---|---|---|---|---|---|"
awk '/^ *latency / { weft[$2] = $5; raw[$2] = $7 }
	/^ *bandwidth / { row[$2] = sprintf("%s | %s | %s | %s", weft[$2], raw[$2], $5, $7) }
	/^ *bidir / { printf "| %d | %s | %s | %s |\n", $2, row[$2], $5, $7 }' "$tmp/out"
[ -n "${CURVE_VERSUS-}" ] || exit 0
echo
echo "| bytes | all-reduce of ${CURVE_RANKS-8} ranks, µs: Weft | $other | all-to-all: Weft | $other |"
echo "|---|---|---|---|---|"
for program in all_reduce_perf alltoall_perf; do
	collective $program src/.libs/libnccl-net-weft.so
	collective $program "$CURVE_VERSUS"
done | awk '{ row[$1] = row[$1] " | " $2; if (!($1 in seen)) order[++n] = $1; seen[$1] = 1 }
	END { for (i = 1; i <= n; i++) print "| " order[i] row[order[i]] " |" }'
