#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make bench's script, a few points only: every row has a result, the JSON is whole. Not for its figures.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
BENCH_QUICK=1 BENCH_JSON=$tmp/json "$here/../../benchmarks/bench.sh" >"$tmp/out" 2>"$tmp/err"
rc=$?
none "ends well" "$([ $rc = 0 ] || { echo "exit $rc"; tail -n 5 "$tmp/err"; })"
without=valgrind # what a machine may lack, and the rows that go with it
command -v valgrind >/dev/null && without=nothing
none "every row has a result" "$(grep 'not measured' "$tmp/out" | { [ $without = valgrind ] && grep -v instructions || cat; })"
if [ "$(sed '1,/^measure/d' "$tmp/out" | grep -c .)" -ge 17 ]; then ok "all rows"; else bad "all rows" "$(cat "$tmp/out")"; fi
for run in tcp-latency shm-latency tcp-bandwidth shm-bandwidth tcp-rate sockets workload-off pairs slow-rail; do
	if [ "$(tests/bench/net_perf_json "$tmp/json" runs $run wrong)" = 0 ]; then
		ok "$run is in the JSON, nothing wrong"
	else
		bad "$run is in the JSON, nothing wrong" "$(grep -A5 "# $run" "$tmp/err")"
	fi
done
tap_done
