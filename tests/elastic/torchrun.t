#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# torchrun starts all ranks again after one was killed while data moved. The new ranks meet at the same host, while what the
# old ones have left, connections and records, is still there; they connect and verify every byte. On one host, and on two.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/check/netns.bash
. "$here/../check/netns.bash"
# shellcheck source=tests/launch/lab.bash
. "$here/../launch/lab.bash"
cd "${TEST_BUILDDIR:?run by make elastic}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT
export WEFT_STATS_DIR=$tmp/records OMP_NUM_THREADS=1 MASTER_ADDR=127.0.0.1
mkdir "$WEFT_STATS_DIR"

# Ends a test: all ranks were started again after one had been killed, and verified their data.
judge() { # description, exit status, the rank to be killed
	if [ "$2" = 0 ] && [ "$(cat "$tmp/killed")" = "$3" ] && grep -q '^# Out of bounds values : 0 OK' "$tmp/out"; then
		ok "$1"
	else
		bad "$1" "exit $2, killed: $(cat "$tmp/killed" 2>&1)" "$(tail -n 60 "$tmp/out")"
	fi
	rm -f "$tmp/killed"
}

restarts() { # description, assignments...
	local what=$1
	shift
	env "$@" timeout -k 5 600 torchrun -r 9:3 -t 9:3 --standalone --max_restarts 1 --nproc_per_node 3 --no_python \
		"$here/restarted" "$tmp/killed" >"$tmp/out" 2>&1
	judge "$what" $? 2
}

# The agent of each host starts its own ranks again, those of the host without a dead one, too.
restarts_on_two() { # description, assignments...
	local what=$1 node pids=() status=0
	shift
	for node in 0 1; do
		on "hd$node" env -u FI_TCP_IFACE -u FI_NET_IFACE "$@" WEFT_NICS=eth0 MASTER_ADDR=10.77.0.1 \
			timeout -k 5 600 torchrun -r 9:3 -t 9:3 --nnodes 2 --node_rank "$node" --nproc_per_node 2 \
			--max_restarts 1 --rdzv_backend c10d --rdzv_id "$what" --rdzv_endpoint 10.77.0.1:23910 --no_python \
			"$here/restarted" "$tmp/killed" >"$tmp/out$node" 2>&1 &
		pids+=($!)
	done
	for node in 0 1; do
		wait "${pids[$node]}" || status=$?
	done
	cat "$tmp"/out[01] >"$tmp/out"
	judge "$what" "$status" 3
}

if ! command -v torchrun >/dev/null || ! torchrun --help >/dev/null 2>&1; then
	skip "torchrun starts a job again" "needs PyTorch (python3-torch)"
	tap_done
fi
restarts "a rank is killed, torchrun starts all again: tcp" WEFT_PROVIDER=tcp
restarts "a rank is killed, torchrun starts all again: tcp, tagged messages" WEFT_PROVIDER=tcp WEFT_PROTOCOL=tagged
restarts "a rank is killed, torchrun starts all again: shm" WEFT_PROVIDER=shm

reason=$(lab_missing)
if [ -n "$reason" ]; then
	skip "two hosts" "$reason"
	tap_done
fi
if lab_up; then
	trap 'lab_down; rm -rf "$tmp"' EXIT
	restarts_on_two "a rank is killed, torchrun starts all of two hosts again: tcp" WEFT_PROVIDER=tcp
else
	bad "two hosts" "the network namespaces could not be made"
fi
tap_done
