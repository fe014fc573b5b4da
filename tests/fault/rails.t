#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A slow rail must not limit the other rails. Four rails, one of which the fault provider slows down to a quarter of the
# others' rate, are compared in the same run with the three fast rails alone, and must move at least as much. If the
# slow rail limited the others, the four would move as much as one fast rail, which is a third. Both sides alternate, so
# they meet the same load of the machine, and the rates are far below those of a busy machine; a disturbed pair of
# measurements is repeated.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
use_fault_provider
export WEFT_PROTOCOL=rma
slow_too="WEFT_TEST_RAILS=4 FAULT_NICS=-@200,-@200,-@200,-@200 FAULT_RATE=20000000,20000000,5000000,20000000"
fast_only="WEFT_TEST_RAILS=3 FAULT_NICS=-@200,-@200,-@200 FAULT_RATE=20000000"

ratio() { # bytes of a message -> GB/s with the slow rail, without, their ratio
	benchmarks/weft_net_perf --pattern bandwidth -b "$1" -e "$1" -w 16 --time-ms 600 --reps 3 --pin off --timeout 0 \
		--versus src/.libs/libnccl-net-weft.so --env-a "$slow_too" --env-b "$fast_only" 2>&1 |
		awk '$1 == "bandwidth" { print $5, $7, $9 }'
}

for bytes in 512K 1M 4M; do
	said=
	for _ in 1 2 3; do
		read -r with without times < <(ratio $bytes)
		said="${said:+$said; }${with-} and ${without-} GB/s"
		awk -v x="${times-0}" 'BEGIN { exit !(x >= 0.8) }' && break
		times=
	done
	if [ -n "$times" ]; then
		ok "messages of $bytes over rails of 20, 20, 5 and 20 MB/s, and over the fast ones alone: $said"
	else
		bad "messages of $bytes over rails of 20, 20, 5 and 20 MB/s, and over the fast ones alone" "$said"
	fi
done
# The provider must really limit the rails; otherwise the comparison proves nothing.
if awk -v x="${without-0}" 'BEGIN { exit !(x > 0 && x <= 0.063) }'; then
	ok "three rails of 20 MB/s carry no more than 60"
else
	bad "three rails of 20 MB/s carry no more than 60" "$without GB/s"
fi
tap_done
