#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A slow rail must not set the pace: four rails, of which the fault provider lets one carry a quarter of what
# the others do, move nearly what all can carry together. The rates are far below what the machine could do.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
use_fault_provider
export WEFT_PROTOCOL=rma WEFT_TEST_RAILS=4 FAULT_NICS=-@200,-@200,-@200,-@200

bandwidth() { # bytes of a message -> MB/s
	benchmarks/weft_net_perf --pattern bandwidth -b "$1" -e "$1" --time-ms 1500 --reps 3 2>&1 |
		awk '$1 == "bandwidth" { printf "%d", $5 * 1000 }'
}

# All rails carry 65 MB/s together; a slow one that set the pace would leave 20.
FAULT_RATE=20000000,20000000,5000000,20000000
export FAULT_RATE
for bytes in 512K 1M 4M; do
	got=$(bandwidth $bytes)
	if [ "${got:-0}" -ge 46 ] && [ "$got" -le 68 ]; then
		ok "messages of $bytes over rails of 20, 20, 5 and 20 MB/s: $got MB/s"
	else
		bad "messages of $bytes over rails of 20, 20, 5 and 20 MB/s" "$got MB/s"
	fi
done
tap_done
