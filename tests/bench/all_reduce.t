#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# all_reduce_perf from end to end, with Weft and with other plugins, correct and faulty ones.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/bench/collective.bash
. "$here/collective.bash"
perf=$build/benchmarks/all_reduce_perf
socket=$build/tests/bench/.libs/socket_plugin.so
faulty=$build/tests/bench/.libs/faulty_plugin.so
weft=$build/src/.libs/libnccl-net-weft.so
largest=16M
[ -z "${TEST_SANITIZER:-}" ] || largest=256K # sanitizers are slow

# Runs all_reduce_perf; leaves $out, $err and $status.
run() {
	timeout --kill-after=5 "${limit_s:-200}" "$perf" "$@" >"$work/out" 2>"$work/err"
	status=$?
	out=$(cat "$work/out")
	err=$(cat "$work/err")
}

rows() { grep -cvE '^(#|$)' "$work/out"; }

# Passes if the run was right: exit status 0, the given number of rows with 13 fields, and 0 in every #wrong.
good() { # description, number of rows
	local wrong
	wrong=$(awk '!/^#/ && NF && (NF != 13 || $9 != "0" || $13 != "0")' "$work/out")
	if [ $status = 0 ] && [ "$(rows)" = "$2" ] && [ -z "$wrong" ] &&
		grep -q '^# Out of bounds values : 0 OK$' "$work/out"; then
		ok "$1"
	else
		bad "$1" "exit $status" "$out" "$err"
	fi
}

# Passes if the exit status and a line of the output match.
ends() { # description, status, pattern in stdout or stderr
	if [ $status = "$2" ] && grep -qE -- "$3" "$work/out" "$work/err"; then
		ok "$1"
	else
		bad "$1" "exit $status" "$out" "$err"
	fi
}

run --ranks 2 -b 8 -e 1M -f 8 -n 2
good "2 ranks, 8 B to 1 MiB" 6
run --ranks 4 -b 1K -e $largest -f 4 -d half -o max -c 1 -n 2
good "4 ranks, 1 KiB to $largest, half max" "$([ $largest = 16M ] && echo 8 || echo 5)"
run -e 1K -b 1K -n 1
good "two ranks when not told otherwise" 1
ends "and it says so" 0 '^# Not told otherwise: 2 ranks'
run --ranks 2 -b 64K -e 64K -d all -o all -n 1 -w 0
good "every type and operation, 2 ranks, 64 KiB" 50
run --ranks 3 -b 10000 -e 10000 -d all -o all -n 1 -w 0
good "every type and operation, 3 ranks, an odd size" 50
run --ranks 4 -b 1 -e 200 -i 33 -d bfloat16 -n 1 -u 3 -c 3 --check_timed 1
good "4 ranks, sizes down to nothing, unaligned, three rounds" 7
run --ranks 5 -b 1M -e 1M -n 1 -m 3 -N 2 --chunk 4K --channels 3
good "5 ranks, many small messages, 3 channels, 2 cycles" 2
run --ranks 1 -b 1K -e 1K -n 2
good "one rank" 1
run -g 3 -b 1K -e 1K -n 2
good "-g 3" 1
ends "and it is three ranks" 0 '^# +Rank  2 '
run --ranks 2 -g 2 -b 1K -e 1K -n 2
good "two ranks of -g 2" 1
ends "and they are four" 0 '^# +Rank  3 '
run --ranks 2 -b 1K -e 1K -n 2 -c 0
if [ $status = 0 ] && [ "$(awk '!/^#/ && NF {print $9, $13, length}' "$work/out")" = "N/A N/A 118" ]; then
	ok "without verification #wrong is N/A, as wide as a number"
else
	bad "without verification #wrong is N/A, as wide as a number" "exit $status" "$out" "$err"
fi

for plugin in "$socket" "$weft"; do
	name=$(basename "$plugin" .so)
	run --plugin "$plugin" --ranks 3 -b 8 -e 1M -f 32 -n 2
	good "$name: honest" 4

	# The plugin below corrupts one in 7 messages.
	export FAULTY_INNER=$plugin FAULTY_HOW
	for FAULTY_HOW in flip stale overrun; do
		run --plugin "$faulty" --ranks 2 -b 256K -e 256K -n 3
		ends "$name: $FAULTY_HOW is found, exit 7" 7 '^# Out of bounds values : [1-9][0-9]* FAILED$'
		if [ "$(awk '!/^#/ && NF && ($9 > 0 || $13 > 0)' "$work/out" | wc -l)" = 1 ]; then
			ok "$name: $FAULTY_HOW counts in #wrong"
		else
			bad "$name: $FAULTY_HOW counts in #wrong" "$out"
		fi
	done
	FAULTY_HOW=null
	run --plugin "$faulty" --ranks 2 -b 256K -e 256K -n 3
	good "$name: isend and irecv that say 'call again'" 1
	FAULTY_HOW=short
	run --plugin "$faulty" --ranks 2 -b 256K -e 256K -n 3
	ends "$name: a wrong size ends it, exit 3" 3 'Test NCCL failure test .receive.* reports 16383 bytes, sent were 16384'
	FAULTY_HOW=error
	run --plugin "$faulty" --ranks 2 -b 256K -e 256K -n 3
	ends "$name: an error ends it, exit 3" 3 "Test NCCL failure test .receive.*'remote error / told to fail'"
	FAULTY_HOW=stall
	run --plugin "$faulty" --ranks 2 -b 256K -e 256K -n 3 -T 2
	ends "$name: a stall ends it with -T, exit 4" 4 'Test timeout \(2s\)'
	unset FAULTY_INNER FAULTY_HOW
done

# A rank is killed: the others end soon and name it. On a busy machine that may take a minute; the run is limited to 120
# s. $1: the victim, $2: the plugin.
killed() {
	local name victim_pid launcher began took expected
	name=$(basename "$2" .so)
	rm -f "$work/out"
	timeout --kill-after=5 120 "$perf" --plugin "$2" --ranks 4 -b 1M -e 1M -n 100000000 -c 0 >"$work/out" 2>"$work/err" &
	launcher=$!
	for _ in $(seq 600); do
		# The ranks have begun when columns 1 to 5 of the first row are printed.
		grep -qs '^ *1048576 ' "$work/out" && break
		sleep 0.1
	done
	sleep 1
	victim_pid=$(awk -v r="$1" '/^# +Rank/ && $3 == r {print $7}' "$work/out")
	began=$SECONDS
	kill -KILL "$victim_pid"
	wait $launcher 2>/dev/null
	status=$?
	took=$((SECONDS - began))
	out=$(cat "$work/out")
	err=$(cat "$work/err")
	if [ $status = 137 ] && [ $took -le 60 ]; then
		ok "$name: killing rank $1 ends the others long before their limit, exit not 0"
	else
		bad "$name: killing rank $1 ends the others long before their limit, exit not 0" "exit $status after $took s" \
			"$out" "$err"
	fi
	expected="rank $1 \\([^ ]+, pid $victim_pid\\) died"
	if [ "$(grep -cE "$expected" "$work/out")" = 3 ] &&
		grep -q "^rank $1 (pid $victim_pid) killed by signal 9 (Killed)\$" "$work/err"; then
		ok "$name: the launcher and all other ranks name it"
	else
		bad "$name: the launcher and all other ranks name it" "$out" "$err"
	fi
}
killed 0 "$socket"
killed 2 "$weft"

# Ranks started by another launcher; each becomes $gpus ranks.
gpus=1
started() { # description, then per rank: environment
	local pids=() r=0 failed=0 last=$((($# - 1) * gpus - 1))
	shift
	for environment in "$@"; do
		# shellcheck disable=SC2086
		env $environment timeout 100 "$perf" -b 1K -e 1K -n 1 -g $gpus >"$work/rank$r" 2>&1 &
		pids+=($!)
		r=$((r + 1))
	done
	for r in "${!pids[@]}"; do
		wait "${pids[$r]}" || failed=1
	done
	[ $failed = 0 ] && [ "$(cat "$work"/rank* | grep -cvE '^(#|$)')" = 1 ] && grep -qE "^# +Rank +$last " "$work"/rank*
}
try() {
	if started "$@"; then ok "$1"; else bad "$1" "$(cat "$work"/rank*)"; fi
	rm -f "$work"/rank*
}
port=$((20000 + RANDOM % 12000)) # below those that the kernel gives to whoever asks for any
try "torchrun's variables" \
	"RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port" \
	"RANK=1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port"
try "Open MPI's variables" \
	"OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_NAMESPACE=$$" \
	"OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_NAMESPACE=$$"
try "SLURM's variables" \
	"SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_NNODES=1 SLURM_JOB_ID=$$" \
	"SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_NNODES=1 SLURM_JOB_ID=$$"
gpus=2
port=$((port + 1))
try "torchrun's variables and -g 2" \
	"RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port" \
	"RANK=1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port"

RANK=0 WORLD_SIZE=2 run -b 8
ends "a launcher that does not say where rank 0 is" 2 'set MASTER_ADDR'
RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 run --ranks 2
ends "a launcher and --ranks" 2 'says that this is rank 0 of 2'

for bad_options in "-n abc" "-d flaot" "-o summ" "-b 8M -e 4M" "-J x.txt" "-a 4" "--nope" "-b" "stray"; do
	# shellcheck disable=SC2086
	run $bad_options
	if [ $status = 2 ] && [ -z "$out" ] && [ "$(wc -l <"$work/err")" = 1 ]; then
		ok "$bad_options: one line on stderr, exit 2"
	else
		bad "$bad_options: one line on stderr, exit 2" "exit $status" "$out" "$err"
	fi
done

run --ranks 2 -b 8 -e 8 -n 1 -z 1
ends "an option that means nothing without a GPU is ignored" 0 '^# ignored: --blocking 1: '
run --plugin "$work/nothing.so" --ranks 2 -b 8 -e 8
ends "a plugin that is not there" 3 'cannot load plugin'
NCCL_TESTS_MIN_BW=1000000 run --ranks 2 -b 8 -e 8 -n 1
ends "less bandwidth than NCCL_TESTS_MIN_BW" 7 '^# Avg bus bandwidth .* FAILED$'

run --ranks 2 -b 8 -e 128 -f 4 -n 3 -I 1 -S 1 -J "$work/a.json"
if [ $status = 0 ] && awk '!/^#/ && NF && NF != 23 {exit 1}' "$work/out"; then
	ok "-I and -S add columns"
else
	bad "-I and -S add columns" "exit $status" "$out" "$err"
fi
if ! command -v python3 >/dev/null; then
	skip "the JSON output is JSON" "no python3"
elif said=$(python3 -c '
import json, sys
j = json.load(open(sys.argv[1]))
assert len(j["results"]) == 3 and j["results"][2]["size"] == 128
assert j["results"][0]["in_place"]["nwrong"] == 0 and j["out_of_bounds"]["okay"] is True
assert len(j["config"]["devices"]) == 2 and j["errors"] == []
' "$work/a.json" 2>&1); then
	ok "the JSON output is JSON"
else
	bad "the JSON output is JSON" "$said"
fi

# What a rank has sent and received stands in its record: 2 (n - 1) / n of the bytes of each all-reduce, at least.
run --ranks 2 -b 1M -e 1M -n 5 --observe 1 -J "$work/observed.json"
ends "--observe shows a peer of each rank" 0 '^#     to   .* (fine|idle|both|sender|receiver|waits|network|held up|too early)'
if ! command -v python3 >/dev/null; then
	skip "--observe in JSON" "no python3"
elif said=$(python3 -c '
import json, sys
ranks = json.load(open(sys.argv[1]))["observed"]
assert len(ranks) == 2 and ranks[0]["pid"] != ranks[1]["pid"]
for rank in ranks:
    ways = {peer["direction"]: peer["bytes"] for peer in rank["peers"]}
    assert min(ways["send"], ways["receive"]) >= 5 << 20, ways
' "$work/observed.json" 2>&1); then
	ok "--observe in JSON"
else
	bad "--observe in JSON" "$said"
fi
WEFT_STATS=0 run --ranks 2 -b 8 -e 8 -n 1 --observe 1
ends "--observe without records" 0 '^#   no record: '

# In a network namespace whose only interface is down, ranks cannot meet, and waiting does not help.
if unshare -n true 2>/dev/null; then
	printf '#!/bin/sh\nexec unshare -n "%s" "$@"\n' "$perf" >"$work/alone"
	chmod +x "$work/alone"
	limit_s=100 perf=$work/alone run --ranks 2 -b 8 -e 8
	ends "loopback that is down" 1 "this host's loopback interface is down"
else
	skip "loopback that is down" "not allowed to make network namespaces"
fi
tap_done
