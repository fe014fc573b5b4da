#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weft-pair --rails over the four NICs of a p5's GPU, in the virtual time of the software EFA device: a slow NIC is named by
# rail and by rank, equal ones are not, whatever the load of this machine.
# shellcheck disable=SC2016,SC2034,SC2317 # check evaluates its words, and calls the functions
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
# shellcheck source=tests/softefa/softefa.bash
. "$here/softefa.bash"
softefa_need
# shellcheck source=tests/bench/pair.bash
. "$here/../bench/pair.bash"
trap 'rm -rf "$tmp" "$softefa_tmp"' EXIT
unset WEFT_TEST_RAILS
export WEFT_PROVIDER=efa WEFT_NICS='rdma*' WEFT_TOPOLOGY=$here/../topo/machines/p5.48xlarge.xml
export FI_EFA_USE_DEVICE_RDMA=1 SOFTEFA_GENERATION=1 SOFTEFA_REORDER=1 SOFTEFA_TIME=1 FI_PROVIDER=efa
args=(-b 1M --depth 4 --time-ms 5 --reps 1 --least 0.6 --rails --json "$tmp/j")

nics() { # Mbit/s of the third
	echo "0000:4f:00.0@100000,0000:50:00.0@100000,0000:51:00.0@$1,0000:52:00.0@100000"
}

export SOFTEFA_NICS
SOFTEFA_NICS=$(nics 100000)
: >"$SOFTEFA_LOG"
LD_PRELOAD=$softefa_preload run --ranks 2 "${args[@]}"
check "equal NICs: nobody is named" eval '[ "$rc" = 0 ] && ! grep -q "^# outlier" "$tmp/out" &&
	grep -q "^# slow rails: 0$" "$tmp/out" && [ "$($get "$tmp/j" pairs 0 rails)" = 4 ]'
check "what they allow" eval '[ "$($get "$tmp/j" pairs 0 expected_gb_per_s) $($get "$tmp/j" pairs 1 rails 3 expected_gb_per_s)" = "50 12.5" ]'
SOFTEFA_NICS=$(nics 20000)
LD_PRELOAD=$softefa_preload run --ranks 2 "${args[@]}"
check "a NIC that is slow at both ends: its rail is named" eval '[ "$rc" = 5 ] &&
	grep -qE "^# outlier: rail 2 of all \(NIC rdmap81s0-rdm\): 0\.(1|2)[0-9]* of the other rails$" "$tmp/out" &&
	grep -q "^# slow rails: 1$" "$tmp/out"'
SOFTEFA_NICS=$(nics 100000)
named() {
	[ "${rcs[*]}" = "5 5 5" ] &&
		grep -qE "^# outlier: .* rank 2 <?-> \*.*rail 2 of [^ ]* \(NIC rdmap81s0-rdm\)" "$tmp/out" &&
		[ "$($get "$tmp/j" slow_rails 0 rail) $($get "$tmp/j" slow_rails 0 from)" = "2 2" ]
}
# A receiver without a core stalls one of the 30 short measurements, whose rail is then named, too.
for _ in 1 2 3; do
	own[2]="SOFTEFA_NICS=$(nics 20000)"
	LD_PRELOAD=$softefa_preload ranks 3 "${args[@]}"
	! named || break
done
check "a NIC of one rank: rank and rail are named" named
check "the device complains about nothing" [ ! -s "$SOFTEFA_LOG" ]
tap_done
