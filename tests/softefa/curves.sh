#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A simulation: latency and bandwidth from 8 B to 64 MiB of a Weft channel over the four NICs of a p5's first GPU, and
# of raw libfabric over one of them, in the software EFA device's virtual time. Run by make softefa-curves; prints the
# table of docs/performance.md. What SOFTEFA_* sets is kept: SOFTEFA_NICS, SOFTEFA_LATENCY_NS, SOFTEFA_RATE.
# CURVE_VERSUS: another plugin's shared object, on all NICs, instead of raw libfabric. WEFT_PROVIDER: efa or efa-direct.
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

perf() { # messages, options
	local n=$1
	shift
	LD_PRELOAD=$PWD/tests/softefa/.libs/libsoftefa.so FI_PROVIDER=efa benchmarks/weft_net_perf "${against[@]}" -c 0 --pin off \
		--timeout 600 --reps "${REPS-3}" -n "$n" "$@"
}

{
	perf 100 --pattern latency,bandwidth -b 8 -e 256K -f 8
	perf 16 --pattern latency,bandwidth -b 2M -e 16M -f 8
	perf 8 --pattern latency,bandwidth -b 64M -e 64M
} >"$tmp/out"
grep -m1 '^# raw: libfabric' "$tmp/out" || :
echo "| bytes | half round trip, µs: Weft | $other | GB/s, 8 deep: Weft, all NICs | $other, $nics_of |"
echo "|---|---|---|---|---|"
awk '/^ *latency / { weft[$2] = $5; raw[$2] = $7 }
	/^ *bandwidth / { printf "| %d | %s | %s | %s | %s |\n", $2, weft[$2], raw[$2], $5, $7 }' "$tmp/out"
