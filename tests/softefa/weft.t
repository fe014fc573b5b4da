#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Weft over libfabric's efa provider on the software EFA device: whole machines with all their NICs, and the conformance
# suite while packets and messages overtake each other and receivers are not ready. SEEDS="1 2 ..." in the environment
# runs the data cases with each of these seeds instead, on all generations in turn, and accepts
# WEFT_PROVIDER=efa-direct.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
# shellcheck source=tests/softefa/softefa.bash
. "$here/softefa.bash"
softefa_need
wish=${WEFT_PROVIDER-efa}
export WEFT_PROVIDER=efa WEFT_NICS='rdma*'
suite=tests/conformance/conformance
plugin=src/.libs/libnccl-net-weft.so
get=tests/bench/net_perf_json

# Lines "DEVICE RAILS". They omit speeds, because libfabric 1.17 does not report those above 100 Gbit/s.
devices() {
	local i n
	softefa src/weft-info --json >"$softefa_tmp/json" 2>"$softefa_tmp/err" || cat "$softefa_tmp/err"
	n=$($get "$softefa_tmp/json" devices)
	for ((i = 0; i < n; i++)); do
		echo "$i $($get "$softefa_tmp/json" devices $i rails)"
	done
}

generation=0
for name in p4d.24xlarge p5.48xlarge p5en.48xlarge p6-b200.48xlarge; do
	softefa_machine $name
	expected=$(sed -n 's|^\([0-9]*\)  [0-9]* Gb/s, \([0-9]*\) rail.*|\1 \2|p' "$softefa_machines/$name.expected")
	got=$(SOFTEFA_GENERATION=$generation devices)
	none "$name, generation $generation: its devices and rails" "$(diff <(echo "$expected") <(echo "$got"))"
	generation=$((generation + 1))
done

# Converts lines of the suite into lines of this script.
conformance() { # name, assignments and options
	local name=$1 out line
	shift
	out=$(softefa "$@" $suite --plugin $plugin --jobs 4 "${cases[@]}" 2>&1)
	while IFS= read -r line; do
		case $line in
		ok*) ok "$name: ${line#* - }" ;;
		not*) bad "$name: ${line#* - }" "$(head -5 "$SOFTEFA_LOG")" ;;
		'#'*) echo "$line" ;;
		esac
	done <<<"$out"
	grep -q '^1\.\.[1-9]' <<<"$out" || bad "$name" "$out"
}

if [ -n "${SEEDS-}" ]; then
	unset SOFTEFA_NICS WEFT_TOPOLOGY
	export WEFT_PROVIDER=$wish
	export SOFTEFA_REORDER=64 SOFTEFA_RNR=5 SOFTEFA_LOSS=5 SOFTEFA_DUPLICATE=10 FI_EFA_USE_DEVICE_RDMA=1
	for seed in $SEEDS; do
		generation=$((seed % 4)) protocol=rma
		[ "$wish" = efa ] || generation=$((1 + seed % 3))
		[ $generation -gt 0 ] || protocol=auto
		cases=(--only 'data/[!l]*' --seed "$seed")
		conformance "seed $seed, generation $generation" SOFTEFA_SEED="$seed" \
			SOFTEFA_GENERATION=$generation WEFT_PROTOCOL=$protocol
	done
	tap_done
fi

# Each message of 4 KiB is one request, plus one for its clear-to-send with the tagged protocol; in raw libfabric it is
# one. The test checks that the counts show the difference.
unset SOFTEFA_NICS WEFT_TOPOLOGY
# On a busy machine the provider may request more packets again in one of the two runs; then the count is repeated.
counts_are_right() {
	counted=$(softefa_preload="$softefa_preload" COUNT_SIZES=4096 SOFTEFA_GENERATION=0 WEFT_PROTOCOL=tagged "$here/counts.sh" 2>&1)
	awk -F'|' '/Weft/ { w = $4; bytes = $7 } /raw/ { r = $4 }
		END { exit !(w >= 1.8 && w < 2.5 && r >= 0.8 && r < 1.6 && bytes > 4096 && bytes < 4800) }' <<<"$counted"
}
if counts_are_right || counts_are_right || counts_are_right || counts_are_right; then
	ok "work requests and bytes per message are counted"
else
	bad "work requests and bytes per message are counted" "$counted"
fi

# All eight devices of a P5 move data: 32 NICs in each of two processes.
softefa_machine p5.48xlarge
for device in 0 7; do
	cases=(--device "$device" --only data/large-sizes)
	conformance "p5.48xlarge, device $device" SOFTEFA_GENERATION=1
done

# An all-reduce of four ranks, each a process with all NICs of its machine.
for name in p5.48xlarge p5en.48xlarge p6-b200.48xlarge; do
	softefa_machine $name
	if out=$(softefa SOFTEFA_GENERATION=1 benchmarks/all_reduce_perf --ranks 4 -b 64K -e 1M -f 16 -n 2 -w 1 2>&1) &&
		[ "$(awk '!/^#/ && NF == 13 && $9 == 0 && $13 == 0' <<<"$out" | wc -l)" = 2 ]; then
		ok "$name: all_reduce_perf --ranks 4, verified"
	else
		bad "$name: all_reduce_perf --ranks 4, verified" "$out"
	fi
done

unset SOFTEFA_NICS WEFT_TOPOLOGY
export SOFTEFA_RNR=3 SOFTEFA_LOSS=3
cases=(--provider-only)
conformance "generation 0" SOFTEFA_GENERATION=0
for generation in 1 2 3; do
	cases=(--only data/random --only data/zero-bytes)
	[ $generation -gt 1 ] || cases=(--only 'data/*')
	conformance "generation $generation, rma" SOFTEFA_SEED=$generation SOFTEFA_GENERATION=$generation \
		WEFT_PROTOCOL=rma FI_EFA_USE_DEVICE_RDMA=1
done

# The fabric without a protocol of its own.
export WEFT_PROVIDER=efa-direct
said=$(softefa SOFTEFA_GENERATION=1 src/weft-info 2>&1)
if grep -q 'efa-direct  *chosen' <<<"$said"; then
	cases=(--provider-only)
	conformance "efa-direct" SOFTEFA_GENERATION=1 SOFTEFA_DUPLICATE=10
	softefa_machine p5.48xlarge
	cases=(--device 7 --only data/large-sizes)
	conformance "efa-direct, four NICs of a p5" SOFTEFA_GENERATION=1
elif grep -q "can't be used: WEFT_PROVIDER=efa-direct: .*; it needs EFA v2 or newer" <<<"$said"; then
	skip "efa-direct" "this libfabric offers none with receives of unsolicited writes"
else
	bad "efa-direct is refused in plain words" "$said"
fi
said=$(WEFT_PROTOCOL=tagged softefa SOFTEFA_GENERATION=1 src/weft-info 2>&1)
none "efa-direct by tagged messages is refused" "$(grep -q "can't be used: WEFT_PRO" <<<"$said" || echo "$said")"
tap_done
