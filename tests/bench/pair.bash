# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For pair.t and its sister: weft-pair by --ranks or by environment. Source it after tap.bash, in the build directory.
# shellcheck disable=SC2034 # variables are for the scripts

pair=benchmarks/weft-pair
get=tests/bench/net_perf_json
port=$((20000 + $$ % 10000))
rcs=() own=()
unset RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT
export LC_ALL=C
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# --timeout is long, since a busy machine is slow; a later one counts.
run() { # arguments; leaves rc, $tmp/out, $tmp/err
	timeout -k 5 300 "$pair" --timeout 250 "$@" >"$tmp/out" 2>"$tmp/err"
	rc=$?
}

# N ranks by environment; leaves rcs, rc of rank 0, $tmp/out of rank 0 and $tmp/err of all. Variables for a rank: own[rank].
ranks() { # N, arguments
	local n=$1 rank pids=()
	shift
	for ((rank = 0; rank < n; rank++)); do
		# shellcheck disable=SC2086 # words are meant
		env RANK=$rank WORLD_SIZE="$n" LOCAL_WORLD_SIZE="$n" MASTER_ADDR=127.0.0.1 MASTER_PORT=$port ${own[rank]-} \
			timeout -k 5 300 "$pair" --timeout 250 "$@" >"$tmp/out$rank" 2>"$tmp/err$rank" &
		pids[rank]=$!
	done
	rcs=()
	for ((rank = 0; rank < n; rank++)); do
		wait "${pids[rank]}"
		rcs[rank]=$?
	done
	rc=${rcs[0]} port=$((port + 1)) own=()
	cp "$tmp/out0" "$tmp/out"
	cat "$tmp"/err[0-9] >"$tmp/err"
	rm -f "$tmp"/err[0-9]
}

check() { # description, command...
	local what=$1
	shift
	if "$@"; then ok "$what"; else bad "$what" "exit $rc ${rcs[*]-}" "$(tail -n 30 "$tmp/out" "$tmp/err")"; fi
}
