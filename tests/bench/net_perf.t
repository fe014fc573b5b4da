#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weft_net_perf: short sweeps over several providers, another plugin beside Weft, wrong data, dead and stuck processes,
# bad options. The figures are not tested.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
perf=benchmarks/weft_net_perf
get=tests/bench/net_perf_json
weft=src/.libs/libnccl-net-weft.so
capped=$(compgen -G 'tests/bench/.libs/*capped.so' | head -1)
unset RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT
socket=$(compgen -G 'tests/bench/.libs/*socket_plugin.so' | head -1)
faulty=$(compgen -G 'tests/bench/.libs/*faulty_plugin.so' | head -1)
late=$(compgen -G 'tests/bench/.libs/*late_plugin.so' | head -1)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# libfabric leaks some of its own infos.
if [ "${TEST_SANITIZER-}" = address ] && [ -z "${LSAN_OPTIONS-}" ]; then
	echo leak:libfabric.so >"$tmp/lsan"
	export LSAN_OPTIONS="suppressions=$tmp/lsan:print_suppressions=0"
fi
quick=(-b 8 -e 8K -f 32 -n 40 --reps 2)

# --timeout is long, since a busy machine is slow; a later one counts.
run() { # arguments; leaves rc, $tmp/out, $tmp/err
	timeout -k 5 300 "$perf" --timeout 250 "$@" >"$tmp/out" 2>"$tmp/err"
	rc=$?
}

said() { # what the last run left behind, for a diagnosis
	echo "exit $rc"
	tail -n 5 "$tmp/out" "$tmp/err"
}

check() { # description, then a command that must succeed
	local what=$1
	shift
	if "$@"; then ok "$what"; else bad "$what" "$(said)"; fi
}

rows() { # how many lines of the table are rows
	grep -vc '^#' "$tmp/out"
}

# Every point of the JSON has a positive ratio of A to the side, and no wrong message.
ratios() { # side, number of points
	local i v
	[ "$rc" = 0 ] && [ "$($get "$tmp/j" points)" = "$2" ] && [ "$($get "$tmp/j" wrong)" = 0 ] || return
	for ((i = 0; i < $2; i++)); do
		v=$($get "$tmp/j" points "$i" ratios "$1") || return
		[[ $v =~ ^[0-9.e+-]+$ && $v != 0 ]] || return
		$get "$tmp/j" points "$i" sides "$1" values 1 >/dev/null || return
	done
}

children() { # pid
	cat "/proc/$1/task/$1/children" 2>/dev/null
}

# Starts a run that lasts for minutes, and waits until its table has begun.
start_long() { # arguments
	"$perf" --raw --pattern latency -b 8 -e 8 --time-ms 300000 "$@" >"$tmp/out" 2>"$tmp/err" &
	long=$!
	for ((i = 0; i < 600; i++)); do
		read -ra workers < <(children "$long")
		grep -q '^# pattern' "$tmp/out" && [ ${#workers[@]} -eq 4 ] && return
		sleep 0.1
	done
}

wait_long() { # leaves rc; whatever happens the run is over afterwards
	for ((i = 0; i < 300; i++)); do
		kill -0 "$long" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$long" 2>/dev/null
	wait "$long" 2>/dev/null
	rc=$?
}

gone() { # pids, none of which may live on
	local pid
	for ((i = 0; i < 100; i++)); do
		for pid in "$@"; do
			grep -qs '^State:.[^Z]' "/proc/$pid/status" && break
		done || return 0
		sleep 0.1
	done
	return 1
}

for provider in tcp shm 'tcp;ofi_rxm'; do
	run --raw --provider "$provider" --json "$tmp/j" "${quick[@]}"
	check "$provider: 9 points against raw libfabric, all right" ratios raw 9
	check "$provider: a row per point" [ "$(rows)" = 9 ]
	check "$provider: the header says what raw is" grep -q '^# raw: libfabric .*, provider ' "$tmp/out"
done
for op in tagged writedata; do
	run --raw --raw-op "$op" --pattern all,bidir --json "$tmp/j" "${quick[@]}" --check 0
	check "raw by $op only" ratios raw 12
	check "raw by $op is what was measured" [ "$($get "$tmp/j" points 0 sides raw op)" = "$op" ]
done

run --plugin "$weft" --versus "${socket:-$weft}" --json "$tmp/j" "${quick[@]}" --pattern latency,bidir \
	--env-b 'SOMETHING=else THIS=too'
check "another plugin as side B" ratios B 6
check "JSON names the plugin" [ "$($get "$tmp/j" sides A plugin)" = weft ]
check "JSON has the environment of B alone" [ "$($get "$tmp/j" sides A environment) $(
	$get "$tmp/j" sides B environment)" = 'null SOMETHING=else THIS=too' ]
check "two sides without raw have one ratio" [ "$($get "$tmp/j" points 0 ratios)" = 1 ]

run --comms 3 --raw --pattern all,bidir,birate --json "$tmp/j" "${quick[@]}"
check "3 comms against as many endpoints of raw libfabric" ratios raw 15
check "the JSON says how many" [ "$($get "$tmp/j" comms) $($get "$tmp/j" threads)" = '3 1' ]
run --comms 5 --threads 2 --raw --pattern all,bidir,birate --json "$tmp/j" "${quick[@]}"
check "5 comms on 2 threads of each process, raw too" ratios raw 15
run --comms 16 --threads 4 --provider shm --versus "${socket:-$weft}" --json "$tmp/j" "${quick[@]}" --pattern latency,bidir
check "16 comms on 4 threads, against another plugin" ratios B 6
check "a note says whose the figures are" grep -q '^# 16 comms each way over 4 threads of each process' "$tmp/out"

# One comm on one capped connection, four comms on four: the figure is that of all together.
capped_value() { # comms
	LD_PRELOAD=$PWD/$capped CAPPED_RATE=4000000 run --comms "$1" --env-a "WEFT_STREAMS=$1" --provider tcp \
		--pattern bandwidth -b 64K -e 64K -n 40 -w 8 --reps 1 --json "$tmp/j"
	$get "$tmp/j" points 0 sides A value
}
what="4 comms on capped connections: 4 times as much as one"
if [ -n "${TEST_SANITIZER-}" ] || [ -z "$capped" ]; then
	skip "$what" "needs a library that is preloaded, which the sanitizer refuses"
else
	for _ in 1 2 3 4 5 6; do
		one=$(capped_value 1) four=$(capped_value 4)
		awk -v a="$one" -v b="$four" 'BEGIN { exit !(a > 0 && b > 3 * a && b < 5 * a) }' && break
	done
	if awk -v a="$one" 'BEGIN { exit !(a > 0.008) }'; then
		skip "$what" "the kernel does not pace connections here: one carries $one GB/s"
	else
		check "$what" awk -v a="$one" -v b="$four" 'BEGIN { exit !(a > 0 && b > 3 * a && b < 5 * a) }'
	fi
fi

run --env-a WEFT_PROVIDER=shm --raw --json "$tmp/j" "${quick[@]}" --pattern latency
check "--env-a reaches plugin and raw" [ "$($get "$tmp/j" sides raw provider)" = shm ]
run -b 0 -e 3 --raw --time-ms 4 --reps 2 --pin off --json "$tmp/j"
check "sizes 0, 1 and 2, not pinned" [ "$rc $(rows) $($get "$tmp/j" wrong)" = '0 9 0' ]
run -n 7 -w 3 --depth 32 --reps 1 -b 64 -e 64 --pattern rate --instructions --json "$tmp/j"
check "a fixed number of messages" [ "$rc $($get "$tmp/j" points 0 sides A iterations)" = '0 7' ]

run --fresh --raw --env-a WEFT_LOG=info -n 20 --reps 3 -b 64 -e 128 --pattern latency --json "$tmp/j"
check "new processes for each repetition" [ "$rc $(rows) $($get "$tmp/j" wrong) $(
	grep -c 'Weft .* on libfabric' "$tmp/err")" = "0 2 0 $((2 * (3 + 2)))" ]

# Two ranks, as a launcher starts them. Leaves rcs and the files of each rank.
ranks() { # arguments
	local rank pids=()
	for rank in 0 1; do
		RANK=$rank WORLD_SIZE=2 LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
			timeout -k 5 300 "$perf" --timeout 250 "$@" >"$tmp/out$rank" 2>"$tmp/err$rank" &
		pids[rank]=$!
	done
	rcs=()
	for rank in 0 1; do
		wait "${pids[rank]}"
		rcs[rank]=$?
	done
	rc=${rcs[0]} port=$((port + 1))
	cp "$tmp/out0" "$tmp/out"
	cat "$tmp/err0" "$tmp/err1" >"$tmp/err"
}
port=$((20000 + $$ % 10000))
ranks --raw --versus "${socket:-$weft}" --comms 3 --threads 2 --fresh --json "$tmp/j" -b 64 -e 64 -n 40 --reps 2 \
	--pattern latency,bidir
check "two ranks by environment: against raw libfabric" ratios raw 2
check "two ranks: and against another plugin" ratios B 2
check "two ranks: the second succeeds and prints nothing" \
	eval '[ "${rcs[1]}" = 0 ] && [ ! -s "$tmp/out1" ] && [ ! -s "$tmp/err" ]'
check "two ranks: their hosts are named" eval '[ "$($get "$tmp/j" hosts)" = 2 ] && grep -q "^# rank 0 on .*, rank 1 on " "$tmp/out"'
ranks --pairs 20 --json "$tmp/j"
check "two ranks: 20 connection pairs" [ "${rcs[*]} $(rows) $($get "$tmp/j" connections)" = '0 0 6 6' ]
ranks --workload 2 --iters 40 --reps 1
check "two ranks of one host: workload" eval '[ "${rcs[*]}" = "0 0" ] && grep -q "^# wrong: 0" "$tmp/out"'
ranks --plugin "$faulty" --env-a "FAULTY_INNER=$weft FAULTY_EVERY=5 FAULTY_HOW=stale" "${quick[@]}" --pattern bandwidth
check "two ranks: wrong data make both fail" eval '[ "${rcs[*]}" = "1 1" ] && grep -q "^# wrong: [1-9]" "$tmp/out"'
ranks --plugin "$faulty" --env-a "FAULTY_INNER=$weft FAULTY_EVERY=5 FAULTY_HOW=stall" --timeout 5 "${quick[@]}"
check "two ranks: a process that does not answer" \
	eval '[ "${rcs[*]}" = "1 1" ] && grep -q "rank [01] did not answer within 5 s" "$tmp/err"'
ranks --plugin "$tmp/none.so"
check "two ranks: a plugin that is not there" eval '[ "${rcs[*]}" = "1 1" ] && grep -q none.so "$tmp/err"'
RANK=1 WORLD_SIZE=3 MASTER_ADDR=127.0.0.1 run
check "three ranks are refused, and weft-pair is named" eval '[ "$rc" = 2 ] && grep -q "rank 1 of 3.*weft-pair" "$tmp/err"'
RANK=1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 run --workload 2
check "a workload of two hosts is refused" eval '[ "$rc" = 2 ] && grep -q "on one host" "$tmp/err"'

run --pairs 20 --json "$tmp/j"
check "20 connection pairs: rows 1, 2, 5, 10, 20 and closed" [ "$rc $(rows) $($get "$tmp/j" connections)" = '0 6 6' ]
check "memory and time per pair are in the JSON" $get "$tmp/j" connections 4 sides A kib_per_pair

spoil() { # how, more arguments
	run --plugin "$faulty" --env-a "FAULTY_INNER=$weft FAULTY_EVERY=5 FAULTY_HOW=$1" "${quick[@]}" \
		--pattern latency,bandwidth "${@:2}"
}
if [ -n "$faulty" ]; then
	for how in flip stale short; do
		spoil "$how"
		check "data spoilt ($how): exit 1, counted, said once per process and run" \
			eval '[ "$rc" = 1 ] && grep -q "^# wrong: [1-9]" "$tmp/out" && grep -q "wrong" "$tmp/err"'
	done
	spoil stale --comms 4 --threads 2
	check "stale data on one of 4 comms on 2 threads" \
		eval '[ "$rc" = 1 ] && grep -q "^# wrong: [1-9]" "$tmp/out" && grep -q "wrong" "$tmp/err"'
	spoil null
	check "a plugin that often starts nothing is called again" [ "$rc $(rows)" = '0 6' ]
	spoil error
	check "a failing call ends the run" eval '[ "$rc" = 1 ] && grep -q "test failed" "$tmp/err"'
	spoil stall --timeout 5
	check "a request that never ends is given up" \
		eval '[ "$rc" = 1 ] && grep -q "did not answer within 5 s" "$tmp/err"'
else
	skip "spoilt data" "tests/bench/faulty_plugin was not built"
fi

for rank in 0 1; do
	start_long
	kill -KILL "${workers[$rank]}"
	wait_long
	check "rank $rank killed: the run ends and says so" eval '[ "$rc" = 1 ] &&
		grep -q "side A: rank $rank (process ${workers[$rank]}) was killed by signal 9" "$tmp/err"'
	check "rank $rank killed: no process is left" gone "${workers[@]}"
done
start_long --comms 4 --threads 2
kill -KILL "${workers[1]}"
wait_long
check "killed with several threads: the run ends and says so, no process is left" \
	eval '[ "$rc" = 1 ] && grep -q "side A: rank 1 .* was killed by signal 9" "$tmp/err" && gone "${workers[@]}"'
start_long
kill -KILL "${workers[3]}"
wait_long
check "a side that was waiting for its turn is missed, too" \
	eval '[ "$rc" = 1 ] && grep -q "side raw: rank 1 .* was killed" "$tmp/err"'
start_long --timeout 10
kill -STOP "${workers[1]}"
wait_long
check "rank 1 stopped: given up after --timeout" \
	eval '[ "$rc" = 1 ] && grep -q "side A: .*did not answer within 10 s" "$tmp/err"'
check "rank 1 stopped: no process is left" gone "${workers[@]}"
start_long
kill -KILL "$long"
wait "$long" 2>/dev/null
check "coordinator killed: no process is left" gone "${workers[@]}"

# One of two ranks dies, then a process of one.
start_ranks() {
	local rank
	longs=()
	for rank in 0 1; do
		RANK=$rank WORLD_SIZE=2 LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
			"$perf" --pattern latency -b 8 -e 8 --time-ms 300000 >"$tmp/out$rank" 2>"$tmp/err$rank" &
		longs[rank]=$!
	done
	port=$((port + 1))
	for ((i = 0; i < 600; i++)); do
		workers=()
		for rank in 0 1; do
			read -ra found < <(children "${longs[rank]}")
			workers+=("${found[@]}")
		done
		grep -q '^# pattern' "$tmp/out0" && [ ${#workers[@]} -eq 2 ] && return
		sleep 0.1
	done
}
start_ranks
kill -KILL "${longs[1]}"
wait "${longs[1]}" 2>/dev/null
long=${longs[0]}
wait_long
cp "$tmp/err0" "$tmp/err"
check "rank 1's program killed: rank 0's says so" eval '[ "$rc" = 1 ] && grep -q "rank 1 (.*) died" "$tmp/err"'
check "rank 1's program killed: no process is left" gone "${workers[@]}"
start_ranks
kill -KILL "${workers[0]}"
long=${longs[1]}
wait_long
rcs=("$rc")
long=${longs[0]}
wait_long
cat "$tmp/err0" "$tmp/err1" >"$tmp/err"
check "rank 0's process killed: both ranks say so" eval '[ "$rc ${rcs[0]}" = "1 1" ] &&
	grep -q "side A: rank 0 .*killed by signal 9" "$tmp/err0" && grep -q "rank 0 (.*) failed" "$tmp/err1"'
check "rank 0's process killed: no process is left" gone "${workers[@]}"

run --workload 3 --iters 40 --reps 2 --versus "$weft" --env-b WEFT_EAGER=off --json "$tmp/mix.json"
check "workload: a row for each side and their ratio, nothing wrong" \
	eval '[ "$rc" = 0 ] && [ "$(grep -cE "^  (A|B|A/B) +[0-9]" "$tmp/out")" = 3 ] && grep -q "^# wrong: 0" "$tmp/out"'
check "workload: as JSON" eval '[ "$(grep -c messages_per_s "$tmp/mix.json")" = 2 ]'
run --workload 2 --iters 100 --reps 1 --plugin "$faulty" --env-a "FAULTY_INNER=$weft FAULTY_HOW=stale"
check "workload: wrong data are counted" eval '[ "$rc" = 1 ] && ! grep -q "^# wrong: 0" "$tmp/out"'

run --plugin "$late" --env-a "LATE_INNER=$weft" "${quick[@]}" --pattern latency
check "a plugin whose table has entries only after init" eval '[ "$rc $(rows)" = "0 3" ] && grep -q "^# wrong: 0" "$tmp/out"'
run --plugin "$tmp/none.so"
check "a plugin that is not there" eval '[ "$rc" = 1 ] && grep -q none.so "$tmp/err"'
run --provider nonsense --raw
check "a provider that is not there" eval '[ "$rc" = 1 ] && grep -q nonsense "$tmp/err"'
run --device 500
check "a device that is not there" eval '[ "$rc" = 1 ] && grep -q "no device 500" "$tmp/err"'
run --json "$tmp/no/such/dir" "${quick[@]}" --pattern latency
check "a JSON file that cannot be written" eval '[ "$rc" = 1 ] && grep -q "cannot write" "$tmp/err"'

while IFS= read -r line; do
	read -ra args <<<"$line"
	run "${args[@]}"
	check "refused: $line" eval '[ "$rc" = 2 ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" = 1 ]'
done <<'BAD'
--nonsense
extra
-b 1x
-b 8 -e 4
-b -1
-e 2G
-f 1
-n many
--depth 33
--reps 0
--check 2
--pattern latency,speed
--pattern rate -b 16K
--pin 0
--pin 0,100000
--raw-op write --raw
--raw-op tagged
--env-a NAME
--env-b A=1
--pairs 5 --raw
--pairs 5x
--comms 0
--comms 129
--comms 2 --pairs 5
--threads 2
--comms 4 --threads 65
--comms 4 --threads 2 --instructions
--workload 2 --raw
--workload 65
--workload 2 --comms 2
--device -1
--timeout x
--plugin
BAD
run --help
check "--help" eval '[ "$rc" = 0 ] && [ ! -s "$tmp/err" ] && grep -q -- --versus "$tmp/out"'
tap_done
