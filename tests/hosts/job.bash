# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# all_reduce_perf between the two hosts of pair.bash: rank 0 on a, rank 1 on b. Source it after tap.bash.
# shellcheck disable=SC2154 # here is the directory of the script

# shellcheck source=tests/check/netns.bash
. "$here/../check/netns.bash"
# shellcheck source=tests/hosts/pair.bash
. "$here/pair.bash"
job_perf=${TEST_BUILDDIR:?run by make check}/benchmarks/all_reduce_perf
job_limit=400 # seconds: far beyond the limits of the tests, and beyond the longest job on a busy machine
job_port=29735
unset FI_TCP_IFACE FI_NET_IFACE WEFT_NICS RANK WORLD_SIZE MASTER_ADDR MASTER_PORT
export LC_ALL=C WEFT_PROVIDER=tcp WEFT_PEER_TIMEOUT=2s

# Ends the script if there can be no two hosts; else makes them, and the directory of the outputs, $work/0 and $work/1.
job_need() { # what is tested, programs...
	local what=$1 reason program
	shift
	reason=$(netns_missing)
	for program; do
		[ -n "$reason" ] || command -v "$program" >/dev/null || reason="needs $program"
	done
	if [ -n "$reason" ]; then
		skip "$what" "$reason"
		tap_done
	fi
	work=$(mktemp -d)
	trap 'pair_down; rm -rf "$work"' EXIT
	pair_up || { bad "two hosts" "cannot make them"; tap_done; }
}

# Starts both ranks; their process ids go to pids. Variables for a rank: own[rank].
pids=() own=()
job_start() { # options of all_reduce_perf...
	local rank hosts=(a b)
	for rank in 0 1; do
		on "${hosts[rank]}" env RANK=$rank WORLD_SIZE=2 MASTER_ADDR=10.90.0.1 MASTER_PORT=$job_port ${own[rank]+"${own[rank]}"} \
			timeout --kill-after=5 $job_limit "$job_perf" "$@" >"$work/$rank" 2>&1 &
		pids[rank]=$!
	done
}

# The process of a rank: a child of timeout.
job_process() { # rank
	pgrep -P "$(pgrep -P "${pids[$1]}")"
}

# Waits for both ranks; their exit statuses go to ends.
ends=()
job_finish() {
	local rank
	for rank in 0 1; do
		wait "${pids[rank]}"
		ends[rank]=$?
	done
}

job_verified() {
	[ "${ends[*]}" = "0 0" ] && grep -q '^# Out of bounds values : 0 OK$' "$work/0"
}

job_diagnosis() {
	echo "exit ${ends[*]}"
	grep -hE 'NET/weft|rank|Out of bounds' "$work/0" "$work/1" | tail -n 20
}
