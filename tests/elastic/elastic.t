#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An elastic job on Weft (tests/elastic/elastic.h): over tcp, shm and the software EFA device. make check runs a few
# rounds; make elastic runs this with --long, 50 deaths each (15 on the device), during which nothing may grow.
# SEED=N: another seed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check or make elastic}" || exit
# shellcheck source=tests/softefa/softefa.bash
. "$here/../softefa/softefa.bash"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rounds=3 few=3
[ "${1-}" != --long ] || rounds=50 few=15
export NCCL_DEBUG=

# Leaves the outcome in files of this name. A transfer between living processes that is given up waits for
# WEFT_CLOSE_TIMEOUT, except by remote writes on tcp.
job() { # name, assignments... -- options...
	local name=$1 assignments=(WEFT_CLOSE_TIMEOUT=200ms) command
	shift
	while [ "$1" != -- ]; do
		assignments+=("$1")
		shift
	done
	shift
	command=(tests/elastic/elastic --seed "${SEED-1}" "$@")
	echo "${assignments[*]} ${command[*]}" >"$tmp/$name.command"
	${softefa_run-} env "${assignments[@]}" "${command[@]}" >"$tmp/$name.out" 2>&1
	echo $? >"$tmp/$name.status"
}

report() { # names...
	local name
	for name in "$@"; do
		if [ "$(<"$tmp/$name.status")" = 0 ]; then
			ok "$(<"$tmp/$name.command"): $(sed -n 's/^ok 1 - seed [0-9]*: //p' "$tmp/$name.out")"
			[ $rounds = 3 ] || diag "$(grep '^# place' "$tmp/$name.out")"
		else
			bad "$(<"$tmp/$name.command")" "$(tail -n 40 "$tmp/$name.out")"
		fi
	done
}

# They wait most of the time, so they run together.
job tcp WEFT_PROVIDER=tcp -- --rounds $rounds --processes 4 &
# A process that is killed inside of libfabric's shm may hold a lock in a living one's memory, which then waits forever:
# so it dies between two calls of the plugin.
job shm WEFT_PROVIDER=shm -- --rounds $rounds --processes 4 --between-calls &
job tagged WEFT_PROVIDER=tcp WEFT_PROTOCOL=tagged -- --rounds $few --processes 3
wait
report tcp tagged shm

why=$(softefa_missing)
if [ -n "$why" ]; then
	skip "software EFA device" "$why"
	tap_done
fi
softefa_need
# shellcheck disable=SC2154 # softefa_need's
trap 'rm -rf "$tmp" "$softefa_tmp"' EXIT
softefa_run=softefa
export WEFT_NICS='rdma*'
job efa WEFT_PROVIDER=efa WEFT_PROTOCOL=tagged SOFTEFA_GENERATION=0 -- --rounds $few --processes 4
if [ $rounds = 3 ]; then
	report efa
	tap_done
fi
job writes WEFT_PROVIDER=efa WEFT_PROTOCOL=rma SOFTEFA_GENERATION=2 FI_EFA_USE_DEVICE_RDMA=1 -- --rounds $few --processes 4
report efa writes
tap_done
