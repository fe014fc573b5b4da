#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# torchrun starts all ranks again after one was killed while data moved. The new ranks meet at the same host, while what the
# old ones have left, connections and records, is still there; they connect and verify every byte.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make elastic}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT
export WEFT_STATS_DIR=$tmp/records OMP_NUM_THREADS=1 MASTER_ADDR=127.0.0.1
mkdir "$WEFT_STATS_DIR"

restarts() { # description, assignments...
	local what=$1 status
	shift
	rm -f "$tmp/killed"
	env "$@" timeout -k 5 600 torchrun -r 9:3 -t 9:3 --standalone --max_restarts 1 --nproc_per_node 3 --no_python \
		"$here/restarted" "$tmp/killed" >"$tmp/out" 2>&1
	status=$?
	if [ $status = 0 ] && [ "$(cat "$tmp/killed")" = 2 ] && grep -q '^# Out of bounds values : 0 OK' "$tmp/out"; then
		ok "$what"
	else
		bad "$what" "exit $status, killed: $(cat "$tmp/killed" 2>&1)" "$(tail -n 60 "$tmp/out")"
	fi
}

if ! command -v torchrun >/dev/null || ! torchrun --help >/dev/null 2>&1; then
	skip "torchrun starts a job again" "needs PyTorch (python3-torch)"
	tap_done
fi
restarts "a rank is killed, torchrun starts all again: tcp" WEFT_PROVIDER=tcp
restarts "a rank is killed, torchrun starts all again: tcp, tagged messages" WEFT_PROVIDER=tcp WEFT_PROTOCOL=tagged
restarts "a rank is killed, torchrun starts all again: shm" WEFT_PROVIDER=shm
tap_done
