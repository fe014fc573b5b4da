#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weft-top and weft-exporter on records made by hand: each fault is named, a healthy process is not blamed, files that are no
# records are refused with a line, and what is printed is well formed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
sleep 3600 &
alive=$!
trap 'kill $alive 2>/dev/null; rm -rf "$tmp"' EXIT
export WEFT_STATS_DIR=$tmp/records COLUMNS=80
mkdir "$WEFT_STATS_DIR"

record() { # pid, scenario, KEY=VALUE...: prints the path
	tests/observe/make-record "$WEFT_STATS_DIR" "$@"
}

forget() {
	rm -rf "${WEFT_STATS_DIR:?}"/*
}

# The troubles of the report, one a line: cause, pid and direction of the peer, NIC.
troubles() { # options
	src/weft-top --once --json "$@" | python3 -c '
import json, sys
for t in json.load(sys.stdin)["troubles"]:
    print(t["cause"], t.get("peer_pid", "-"), t.get("direction", "-"), t.get("nic", "-"))'
}

# The scenario has exactly these troubles, and the text has these words.
judged() { # scenario, troubles, words, options
	local got text status
	forget
	record $alive "$1" >/dev/null
	got=$(troubles "${@:4}" | xargs)
	text=$(src/weft-top --once "${@:4}")
	status=$?
	if [ "$got" = "$2" ] && [[ $text = *"$3"* ]] && [ $status = $(($(wc -w <<<"$2") > 0)) ]; then
		ok "$1: ${2:-no trouble}"
	else
		bad "$1: ${2:-no trouble}" "troubles: $got" "exit $status" "$text"
	fi
}

if command -v python3 >/dev/null; then
	judged healthy "" "0 in trouble"
	judged idle "" "idle"
	judged late-start "" "fine"
	judged started-late "" " 52 MB/s "
	judged started-slow "receiver_late 777 send -" "receiver late: "
	judged started-now "" "too early to say"
	judged started-early "receiver_late 777 send -" "receiver late: "
	judged receiver-late "receiver_late 777 send -" "receiver late: 90 % of the time waits for its clear-to-send"
	judged sender-late "sender_late 777 receive -" "sender late: 90 % of the time"
	judged slow-rail "network_slow - - eth1 network_slow 777 send eth1" "network slow: NIC eth1 runs at 0.24 of its fellows"
	judged slow-wire "network_slow 777 send -" "network slow: a message takes"
	judged slow-wire-full "" "fine"
	judged slow-wire-shared "network_slow 777 send -" "network slow: a message takes"
	judged slow-wire-unknown "" "fine"
	judged queue "" "fine"
	judged full-unknown "" "fine"
	judged sender-late-unknown "sender_late 777 receive -" "sender late: 90 % of the time"
	judged sender-late-inside "sender_late 777 receive -" "sender late: 90 % of the time"
	judged rail-down "rail_down - - eth1" " s: the provider failed"
	judged nic-closed "" "fine"
	judged endpoint-closed "" "fine"
	judged stuck "stuck 777 send -" "stuck for 41 s: posted, no completion"
	judged uncleared "stuck 777 send -" "stuck for 41 s: the receiver has not posted"
	judged unsent "stuck 777 receive -" "stuck for 41 s: the sender has sent nothing"
	judged unpolled "not_polling - - -" "has not polled its network for 2"
	judged gone "peer_gone 777 send -" "peer gone: Connection reset by peer"
	judged left "peer_gone 777 send -" "peer gone: it has closed its half"
	judged told "failed 777 send -" "failed: the peer says that its half has: No such device"
	judged failed "failed 777 send -" "failed: Message too long"
	judged waits "receiver_late 777 send -" "100 % of the time waits for its clear-to-send" --watch 1
	judged nic-back "" "too early to say" --watch 1
	judged nic-lost "rail_down - - eth1" "too early to say" --watch 0.2
	judged small "" "fine"
	judged small-late "sender_late 777 receive -" "sender late: 9"
	judged small-unsent "stuck 777 receive -" "stuck for 41 s: the sender has sent nothing"
	judged small-stuck "stuck 777 send -" "stuck for 41 s: posted, no completion"
	judged small-quiet "" "fine"
	judged unanswered "unanswered 777 send -" "connecting for 4"
else
	skip "verdicts" "python3 is not installed"
fi

# 500 MB/s of 100 Gbit/s, a little less by the time of the look; eth1 reports no speed.
forget
record $alive no-speed >/dev/null
text=$(src/weft-top --once)
if [ "$(grep -cE '^  NIC eth0 .* (500|4[0-9][0-9]) MB/s in    4 %     0 in flight' <<<"$text")" = 1 ] &&
	[ "$(grep -cE '^  NIC eth1 .* (500|4[0-9][0-9]) MB/s in     0 in flight' <<<"$text")" = 1 ] &&
	[ "$(src/weft-top --once --json | grep -cE '"speed_used": (0\.0[34][0-9]*|null)')" = 2 ]; then
	ok "a NIC's share of its speed, where it reports one"
else
	bad "a NIC's share of its speed, where it reports one" "$text"
fi

forget
record $alive nic-closed >/dev/null
src/weft-exporter --once --textfile "$tmp"
if ! src/weft-top --once | grep -q "NIC eth1" && ! src/weft-top --once --json | grep -q '"name": "eth1"' &&
	[ "$(grep -c '^weft_rail_bytes_total{.*nic="eth1".*} 50000000000' "$tmp/weft.prom")" = 2 ] &&
	[ "$(grep -c '^weft_rail_.*nic="eth1"' "$tmp/weft.prom")" = 8 ]; then
	ok "a NIC that no endpoint uses is not shown, and keeps its counters"
else
	bad "a NIC that no endpoint uses is not shown, and keeps its counters" "$(src/weft-top --once)" "$(grep 'nic="eth1"' "$tmp/weft.prom")"
fi

forget
record $alive healthy >/dev/null
kill -STOP $alive
until grep -q ') T ' /proc/$alive/stat; do
	sleep 0.01
done
text=$(src/weft-top --once)
kill -CONT $alive
if [[ $text = *"stopped by a signal"* ]]; then ok "a stopped process is named"; else bad "a stopped process is named" "$text"; fi

# Two processes of this host: the first waits for the second, which waits for somebody else, or for the first.
forget
host=node1
record $alive receiver-late host=$host peer_host=$host peer_pid=$$ >/dev/null
record $$ uncleared host=$host peer_host=far peer_pid=99 >/dev/null
text=$(src/weft-top --once)
if [[ $text = *"waits for a peer that waits for far:99"* && $text = *"1 in trouble"* ]]; then
	ok "a peer that waits itself is not blamed"
else
	bad "a peer that waits itself is not blamed" "$text"
fi
forget
record $alive receiver-late host=$host peer_host=$host peer_pid=$$ >/dev/null
record $$ uncleared host=$host peer_host=$host peer_pid=$alive >/dev/null
text=$(src/weft-top --once)
if [[ $text = *"2 in trouble"* ]]; then ok "two that wait for each other are both named"; else bad "two that wait for each other are both named" "$text"; fi

# The sender finds no clear-to-send, and the receiver's receives wait, whatever their NIC does.
forget
record $alive receiver-late host=$host peer_host=$host peer_pid=$$ >/dev/null
record $$ full-unknown host=$host peer_host=$host peer_pid=$alive >/dev/null
text=$(src/weft-top --once)
if [ "$(grep -c "both sides wait" <<<"$text")" = 2 ] && [[ $text = *"0 in trouble"* ]]; then
	ok "two that wait for each other's data and clear-to-send are not blamed"
else
	bad "two that wait for each other's data and clear-to-send are not blamed" "$text"
fi

# Two processes send over the same NIC, which is full only with both.
forget
record $alive slow-wire-shared host=$host >/dev/null
record $$ slow-wire-shared host=$host >/dev/null
text=$(src/weft-top --once)
if [[ $text = *"0 in trouble"* ]]; then ok "a NIC that two processes fill is not slow"; else bad "a NIC that two processes fill is not slow" "$text"; fi

# A process of this host that lives: its words count, a broken connection is no death.
forget
record $$ healthy host=$host peer_host=$host peer_pid=$alive >/dev/null
record $alive left host=$host peer_host=$host peer_pid=$$ >/dev/null
left=$(src/weft-top --once)
record $alive gone host=$host peer_host=$host peer_pid=$$ >/dev/null
text=$(src/weft-top --once)
if [[ $left = *"peer gone: it has closed its half"* && $text = *"connection failed, although the peer lives"* ]]; then
	ok "a peer of this host that lives has closed its half, or has not"
else
	bad "a peer of this host that lives has closed its half, or has not" "$left" "$text"
fi

# A dead process.
forget
sleep 3600 &
victim=$!
path=$(record $victim stuck)
kill -KILL $victim
wait $victim 2>/dev/null
text=$(src/weft-top --once)
if [[ $text = *"killed: it has left its record behind"* && $text = *"stuck for 41 s"* ]]; then
	ok "the record of a killed process tells what it was doing"
else
	bad "the record of a killed process tells what it was doing" "$text"
fi
events=$(src/weft-top --events $victim)
if [ "$(grep -c "  $victim  to node2:777 .* done  " <<<"$events")" = 14 ] && [[ $(tail -1 <<<"$events") = *"comm failed  Connection reset"* ]] &&
	[ "$(sort -c <<<"$events" 2>&1)" = "" ] && [ "$events" = "$(src/weft-top --events "$path")" ]; then
	ok "its last events are printed, oldest first, by number and by file"
else
	bad "its last events are printed, oldest first, by number and by file" "$events"
fi
if ! command -v python3 >/dev/null; then
	skip "the trace pairs begin and end" "python3 is not installed"
elif src/weft-top --trace "$tmp/trace.json" $victim && python3 -c '
import json, sys
events = json.load(open(sys.argv[1]))["traceEvents"]
assert sum(e["ph"] == "b" for e in events) == sum(e["ph"] == "e" for e in events) == 28, events
assert any(e["ph"] == "i" and e["name"] == "comm failed" for e in events)' "$tmp/trace.json" 2>"$tmp/err"; then
	ok "the trace pairs begin and end"
else
	bad "the trace pairs begin and end" "$(<"$tmp/err")"
fi
record $alive healthy >/dev/null
src/weft-top --clean >/dev/null
if [ ! -e "$path" ] && [ "$(find "$WEFT_STATS_DIR" -type f | wc -l)" = 1 ]; then
	ok "--clean removes the dead one only"
else
	bad "--clean removes the dead one only" "$(ls "$WEFT_STATS_DIR")"
fi

# Nothing hostile is read, and each is a line.
forget
good=$(record $alive healthy)
refused() { # what, words of the line: the file is $bad
	local text
	text=$(src/weft-top --once 2>&1 <"/dev/null")
	if [[ $text = *"not read: $2"* && $text = *"1 process,"* ]]; then ok "$1 is refused"; else bad "$1 is refused" "$text"; fi
	rm -rf "$bad"
}
bad=$WEFT_STATS_DIR/1-1.weft
ln -s "$good" "$bad"
refused "a symbolic link" "it is a symbolic link"
head -c 5000 "$good" >"$bad"
refused "a truncated record" "its size is not the one"
head -c 100 "$good" >"$bad"
refused "a shorter one" "it is no record"
: >"$bad"
refused "an empty file" "it is no record"
head -c 20000 /dev/urandom >"$bad"
refused "garbage" "it is no record"
mkfifo "$bad"
refused "a pipe" "it is not a regular file"
mkdir "$bad"
refused "a directory" "it is not a regular file"
cp "$good" "$bad" && chmod 622 "$bad"
refused "a record that others may write" "others may write"
cp "$good" "$bad" && printf '\377' | dd of="$bad" bs=1 seek=8 conv=notrunc status=none
refused "a record of another version" "it is a record of another vers"
cp "$good" "$bad" && printf '\377\377\377\377' | dd of="$bad" bs=1 seek=28 conv=notrunc status=none
refused "a table outside the file" "a table lies outside"
if [ "$(id -u)" = 0 ]; then
	cp "$good" "$bad" && chown 12345 "$bad"
	refused "a record of another user" "it belongs to another user"
else
	skip "a record of another user is refused" "only root can make one"
fi

# No terminal sequence of a record reaches the terminal.
forget
record $alive control >/dev/null
if src/weft-top --once | LC_ALL=C grep -q '[^ -~]'; then
	bad "control characters are not shown" "$(src/weft-top --once | cat -v)"
else
	ok "control characters are not shown"
fi
if [ "$(src/weft-top --once | wc -L)" -le 80 ]; then ok "80 columns are enough"; else bad "80 columns are enough" "$(src/weft-top --once)"; fi

# The writer changes everything all the time, and dies.
tests/observe/make-record "$WEFT_STATS_DIR" $alive churn >/dev/null &
churn=$!
failures=''
for _ in {1..20}; do
	src/weft-top --once --json >"$tmp/json" 2>"$tmp/err"
	[ $? -le 1 ] && [ ! -s "$tmp/err" ] || failures+=$(<"$tmp/err")
done
kill -KILL $churn
wait $churn 2>/dev/null
src/weft-top --once >"$tmp/out" 2>&1
[ $? -le 1 ] || failures+=$(<"$tmp/out")
none "a writer that changes its record all the time, and dies, is read" "$failures"

# A full host.
if [ -z "${TEST_SANITIZER:-}" ]; then
	forget
	pids=()
	for _ in {1..64}; do
		sleep 3600 &
		pids+=($!)
		record $! busy comms=32 >/dev/null
	done
	began=$(date +%s%N)
	text=$(src/weft-top --once)
	took=$((($(date +%s%N) - began) / 1000000))
	kill "${pids[@]}"
	if [[ $text = *"64 processes, 2048 peers, 0 in trouble"* ]]; then
		ok "64 processes of 32 peers are shown"
		diag "it took $took ms"
	else
		bad "64 processes of 32 peers are shown" "$(head -3 <<<"$text")"
	fi
fi
tap_done
