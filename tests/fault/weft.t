#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The plugin over the fault provider, which rejects posts, delays and reorders completions, and shortens queue reads. A
# few seeds run all cases that move or end data, with either protocol; more seeds run a few cases, and select the
# protocol and the number of rails. The environment can change this: SEEDS="1 2 3 ...", MORE_SEEDS and MORE_CASES. make
# faults uses 200 seeds, make faults-all runs all cases with 200 seeds.
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

# The victim's event queue reports an error of one of its endpoints while its comm waits for a slow message: 100000
# bytes at 300 a millisecond, while event queues are read 10 times a second.
event() { # protocol, rails, victim
	local line="the endpoint on NIC fault0 (fault) is shut down: its provider has reported an error of the endpoint"
	env -u FAULT_EAGAIN -u FAULT_REORDER -u FAULT_TRUNCATE_CQ WEFT_PROTOCOL="$1" WEFT_TEST_RAILS="$2" \
		tests/fault/survive --plugin src/.libs/libnccl-net-weft.so --victim "$3" --timeout 60 FAULT_RATE=300 \
		FAULT_FAIL_CALL=eq_read FAULT_FAIL_NTH=1 FAULT_FAIL_ERRNO=100 FAULT_LOG="$tmp/event" >"$tmp/out" 2>&1 ||
		echo "exit status $?"
	grep -q "failed=1" "$tmp/event" || cat "$tmp/event"
	grep -q "its event queue reports an error: Network is down" "$tmp/out" || echo "no line about the event"
	grep -q "$3 exit 3, [a-z]*: NET/weft: $line; every comm on it fails" "$tmp/out" || cat "$tmp/out"
}
for victim in A B; do
	none "tagged: an error event in $victim fails its comm by name" "$(event tagged 1 $victim)"
done
# The provider delays completions, and a receiver of writes has none.
none "rma, 2 rails: an error event in A fails its comm by name" "$(event rma 2 A)"
tap_done
