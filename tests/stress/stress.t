#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A random mixed load on Weft (tests/stress/stress.h): over tcp, shm and the software EFA device, with both protocols,
# over one to four rails. make check runs a few seeds; make stress runs this with --long, every combination with several
# seeds. Environment: SEEDS="1 2 ...", and STRESS_SECONDS, the time after which a run begins no further round.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check or make stress}" || exit
# shellcheck source=tests/softefa/softefa.bash
. "$here/../softefa/softefa.bash"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
long=no
[ "${1-}" != --long ] || long=yes
seconds=${STRESS_SECONDS-5} seeds=${SEEDS-1 2 3} size=(--largest 16M)
if [ $long = no ]; then
	# Smaller messages allow more of them in less time.
	seconds=${STRESS_SECONDS-0} seeds=${SEEDS-1} size=(--largest 2M)
fi
export NCCL_DEBUG=

# The verdict contains the command line that repeats the run.
load() { # seed, assignments... -- options...
	local seed=$1 assignments=() command
	shift
	while [ "$1" != -- ]; do
		assignments+=("$1")
		shift
	done
	shift
	command=(tests/stress/stress --seed "$seed" --seconds "$seconds" "${size[@]}" "$@")
	if ${softefa_run-} env "${assignments[@]}" "${command[@]}" >"$tmp/out" 2>&1; then
		ok "${assignments[*]} ${command[*]}: $(sed -n 's/^ok 1 - seed [0-9]*: //p' "$tmp/out")"
	else
		bad "${assignments[*]} ${command[*]}" "$(tail -n 40 "$tmp/out")"
	fi
}

# Runs each seed over these numbers of rails; the quick test uses the first number only.
over_rails() { # numbers of rails, the quick test's first; assignments...
	local seed rails numbers
	read -ra numbers <<<"$1"
	shift
	[ $long = yes ] || numbers=("${numbers[0]}")
	for seed in $seeds; do
		for rails in "${numbers[@]}"; do
			load "$((seed * 10 + rails))" WEFT_TEST_RAILS="$rails" "$@" -- --communicators "$((1 + rails % 2))"
		done
	done
}

# On tcp, Weft opens one NIC as several rails; shm has one rail.
providers() {
	over_rails "3 1 2 4" WEFT_PROVIDER=tcp WEFT_PROTOCOL=rma
	over_rails "2 1 3 4" WEFT_PROVIDER=tcp WEFT_PROTOCOL=tagged
	over_rails 1 WEFT_PROVIDER=shm WEFT_PROTOCOL=rma
	over_rails 1 WEFT_PROVIDER=shm WEFT_PROTOCOL=tagged
}

# Two processes reuse a few TCP ports many times, so that late messages of an old endpoint meet a new one.
few_ports() {
	local seed
	for seed in $seeds; do
		load "$((70 + seed))" WEFT_PROVIDER=tcp -- --ports 8 --processes 2 --largest 500000
	done
}

efa() {
	local why
	why=$(softefa_missing)
	if [ -n "$why" ]; then
		skip "software EFA device" "$why"
		return
	fi
	softefa_need
	# shellcheck disable=SC2154 # softefa_need's
	trap 'rm -rf "$tmp" "$softefa_tmp"' EXIT
	softefa_run=softefa_alone
	SOFTEFA_NICS=$(printf ',0000:%02x:00.0' 16 17 18 19)
	export WEFT_NICS='rdma*' SOFTEFA_NICS=${SOFTEFA_NICS#,}
	over_rails "2 1 3 4" WEFT_PROVIDER=efa WEFT_PROTOCOL=tagged SOFTEFA_GENERATION=0
	over_rails "3 1 2 4" WEFT_PROVIDER=efa WEFT_PROTOCOL=rma SOFTEFA_GENERATION=2 FI_EFA_USE_DEVICE_RDMA=1
}

# softefa without its time limit.
softefa_alone() {
	: >"$SOFTEFA_LOG"
	LD_PRELOAD=$softefa_preload FI_PROVIDER=efa "$@"
}

providers
few_ports
efa
tap_done
