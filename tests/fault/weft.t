#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The plugin over the fault provider: posts refused, completions held back and reordered, short queue
# reads, from several seeds, by either protocol. More of it: SEEDS="1 2 3 ..." in the environment.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export FI_PROVIDER_PATH=$PWD/tests/fault/.libs WEFT_PROVIDER=fault WEFT_NICS='fault*'
export FAULT_EAGAIN=10 FAULT_REORDER=8 FAULT_TRUNCATE_CQ=random FAULT_LOG=$tmp/log

run() { # protocol, seed
	WEFT_PROTOCOL=$1 FAULT_SEED=$2 tests/conformance/conformance --plugin src/.libs/libnccl-net-weft.so \
		--jobs 4 --seed "$2" --timeout 40 --only 'data/*' --only 'close/*' --only 'error/*' \
		>"$tmp/out" 2>&1
	rc=$?
	if [ $rc = 0 ]; then ok "$1, seed $2"; else bad "$1, seed $2" "$(grep -A8 '^not ok' "$tmp/out")"; fi
}

for seed in ${SEEDS-1 2}; do
	run tagged "$seed"
	run rma "$seed"
done
none "posts were refused" "$(awk '/eagain=[1-9]/{ n++ } END{ if (!n) print "no log line says so" }' "$tmp/log")"
none "completions came out of order" \
	"$(awk '/reordered=[1-9]/{ n++ } END{ if (!n) print "no log line says so" }' "$tmp/log")"
tap_done
