#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# all_reduce_perf from end to end: Weft and plugins that are not Weft, honest ones and faulty ones.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
build=${TEST_BUILDDIR:?run by make check}
perf=$build/benchmarks/all_reduce_perf
socket=$build/tests/bench/.libs/socket_plugin.so
faulty=$build/tests/bench/.libs/faulty_plugin.so
weft=$build/src/.libs/libnccl-net-weft.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
largest=16M
if [ -n "${TEST_SANITIZER:-}" ]; then
	# Slow, and what libfabric keeps for itself is no leak of ours.
	largest=256K
	echo leak:libfabric.so >"$work/lsan"
	export LSAN_OPTIONS="suppressions=$work/lsan:print_suppressions=0"
fi
unset RANK WORLD_SIZE MASTER_ADDR MASTER_PORT PMI_RANK PMIX_RANK OMPI_COMM_WORLD_RANK SLURM_PROCID
unset NCCL_TESTS_DEVICE NCCL_TESTS_MIN_BW

# Runs all_reduce_perf; leaves $out, $err and $status.
run() {
	timeout --kill-after=5 "${limit_s:-200}" "$perf" "$@" >"$work/out" 2>"$work/err"
	status=$?
	out=$(cat "$work/out")
	err=$(cat "$work/err")
}

rows() { grep -cvE '^(#|$)' "$work/out"; }

# Passes when nothing was wrong: exit 0, `count` rows of 13 fields, no #wrong but 0.
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

# Passes when the exit status and a line of what was said are these.
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

	# The plugin below spoils one in 7 messages.
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

# A killed rank: the others end within 10 s and name it. $1 the victim, $2 the plugin
killed() {
	local name victim_pid launcher began took expected
	name=$(basename "$2" .so)
	rm -f "$work/out"
	timeout --kill-after=5 120 "$perf" --plugin "$2" --ranks 4 -b 1M -e 1M -n 100000000 -c 0 >"$work/out" 2>"$work/err" &
	launcher=$!
	for _ in $(seq 600); do
		# Columns 1 to 5 of the first row are printed when the ranks set to work.
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
	if [ $status = 137 ] && [ $took -le 10 ]; then
		ok "$name: killing rank $1 ends the others within 10 s, exit not 0"
	else
		bad "$name: killing rank $1 ends the others within 10 s, exit not 0" "exit $status after $took s" \
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

# Ranks that something else starts, each of them $gpus ranks.
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

for bad_options in "-n abc" "-d flaot" "-o summ" "-b 8M -e 4M" "-J x.txt" "-z 1" "--nope" "-b" "stray"; do
	# shellcheck disable=SC2086
	run $bad_options
	if [ $status = 2 ] && [ -z "$out" ] && [ "$(wc -l <"$work/err")" = 1 ]; then
		ok "$bad_options: one line on stderr, exit 2"
	else
		bad "$bad_options: one line on stderr, exit 2" "exit $status" "$out" "$err"
	fi
done

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
tap_done
