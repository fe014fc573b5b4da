#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The plugin over the fault provider: posts refused, completions held back and reordered, short queue
# reads. From a few seeds, by either protocol, all cases that move data or end; from more seeds, the protocol and
# the number of rails changing with them, a few cases. For others, in the environment: SEEDS="1 2 3 ...",
# MORE_SEEDS and MORE_CASES. make faults has 200 seeds, make faults-all all cases by 200 seeds.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
use_fault_provider
export FAULT_EAGAIN=10 FAULT_REORDER=8 FAULT_TRUNCATE_CQ=random FAULT_LOG=$tmp/log

run() { # protocol, rails, seed, cases...
	local protocol=$1 rails=$2 seed=$3 what="$1, $2 rails, seed $3" cases=()
	shift 3
	for pattern; do cases+=(--only "$pattern"); done
	if WEFT_PROTOCOL=$protocol WEFT_TEST_RAILS=$rails FAULT_SEED=$seed tests/conformance/conformance \
		--plugin src/.libs/libnccl-net-weft.so --jobs "${JOBS:-4}" --seed "$seed" --timeout 40 "${cases[@]}" \
		>"$tmp/out" 2>&1; then
		ok "$what"
	else
		bad "$what" "$(grep -A8 '^not ok' "$tmp/out")"
	fi
}

for seed in ${SEEDS-1 2}; do
	run tagged 1 "$seed" 'data/*' 'close/*' 'error/*' 'timing/done-*'
	run rma 1 "$seed" 'data/*' 'close/*' 'error/*' 'timing/done-*'
done
read -ra more_cases <<<"${MORE_CASES-data/random data/grouped data/depth close/close-with-receives}"
for seed in ${MORE_SEEDS-$(seq 3 18)}; do
	protocol=rma
	[ $((seed % 3)) != 0 ] || protocol=tagged
	run $protocol $((seed % 4 + 1)) "$seed" "${more_cases[@]}"
done
none "posts were refused" "$(awk '/eagain=[1-9]/{ n++ } END{ if (!n) print "no log line says so" }' "$tmp/log")"
none "completions came out of order" \
	"$(awk '/reordered=[1-9]/{ n++ } END{ if (!n) print "no log line says so" }' "$tmp/log")"
tap_done
