#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weft-top names the culprit of two real processes, and nobody else: a late application, a stopped or killed process, a slow
# NIC, a NIC that dies, a link that is down. An innocent pair has none, on a busy host either. Each case runs once, or
# RUNS times (make culprits). Every report counts: one that names anybody or anything else is a wrong verdict. After
# that the sender is killed, and its record must still tell what its reports told.
# CASES="..." runs these cases only; HOGS=N runs N endless loops beside everything.
# shellcheck disable=SC2317,SC2054 # case_runs calls the functions; commas within settings
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/observe/culprits.bash
. "$here/culprits.bash"
# shellcheck source=tests/check/netns.bash
. "$here/../check/netns.bash"
# shellcheck source=tests/hosts/pair.bash
. "$here/../hosts/pair.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
# shellcheck source=tests/softefa/softefa.bash
. "$here/../softefa/softefa.bash"
culprits_begin
tcp=(WEFT_PROVIDER=tcp)
# Four NICs of the fault provider, each of 25 MB/s.
four=(FI_PROVIDER_PATH="$PWD/tests/fault/.libs" WEFT_PROVIDER=fault "WEFT_NICS=fault*" WEFT_PROTOCOL=rma WEFT_TEST_RAILS=4
	FAULT_NICS=-@200,-@200,-@200,-@200)
even=FAULT_RATE=20000000,20000000,20000000,20000000 uneven=FAULT_RATE=20000000,20000000,4000000,20000000

healthy() {
	settings=("${tcp[@]}")
	start_pair
	stays_innocent
}

healthy_rails() {
	settings=("${four[@]}" "$even")
	start_pair --bytes 1048576
	stays_innocent
}

# Endless loops want every core, so that the pair waits for cores. That is no fault of the other side's.
busy_host() {
	local share
	start_hogs $((4 * $(nproc)))
	settings=("${tcp[@]}")
	start_pair
	stays_innocent
	share=$(python3 -c 'import json, sys; print(max(p["core_wait_share"] for p in json.load(open(sys.argv[1]))["processes"]))' "$tmp/json")
	[ "$(core_wait)" = 0 ] || awk "BEGIN { exit !($share > 0.2) }" || wrong "the wait for a core is $share of the time only"
	end_pair
	start_pair --late-receive 50
	named "sender:receiver_late:receiver:send"
	end_hogs
}

# Messages that go eagerly, which the record times only if they wait.
healthy_small() {
	settings=("${tcp[@]}")
	start_pair --bytes 4096
	stays_innocent
}

late_receiver_small() {
	settings=("${tcp[@]}")
	start_pair --bytes 4096 --late-receive 50
	named "sender:receiver_late:receiver:send"
}

late_sender_small() {
	settings=("${tcp[@]}")
	start_pair --bytes 4096 --late-send 50
	named "receiver:sender_late:sender:receive"
	other_record_tells "receiver:sender_late:sender:receive"
}

stopped_sender_small() {
	settings=("${tcp[@]}" WEFT_STALL_WARN=2s)
	start_pair --bytes 4096
	kill -STOP "$sender"
	may="receiver:sender_late:sender:receive"
	named "receiver:stuck:sender:receive sender:stopped"
	watchdog_says "receive comm to peer [^ ]* pid $sender at .* waits for the sender for"
}

late_receiver() {
	settings=("${tcp[@]}")
	start_pair --late-receive 50
	named "sender:receiver_late:receiver:send"
	record_tells "sender:receiver_late:receiver:send"
}

late_sender() {
	settings=("${tcp[@]}")
	start_pair --late-send 50
	named "receiver:sender_late:sender:receive"
	other_record_tells "receiver:sender_late:sender:receive"
}

stopped() {
	settings=("${tcp[@]}" WEFT_STALL_WARN=2s)
	start_pair
	kill -STOP "$receiver"
	may="sender:receiver_late:receiver:send"
	named "receiver:stopped sender:stuck:receiver:send"
	watchdog_says "send comm to peer [^ ]* pid $receiver at .* \(is on the wire\|waits for the receiver\) for"
	record_tells "sender:stuck:receiver:send"
}

resumed() {
	settings=("${tcp[@]}")
	start_pair
	kill -STOP "$receiver"
	until_stopped
	kill -CONT "$receiver"
	may="receiver:stopped" # the report may be as old as the signal
	stays_innocent
}

has_received() {
	src/weft-top --events "$receiver" | grep -q "from .*:$sender  *done"
}

killed() {
	settings=("${tcp[@]}")
	start_pair
	until has_received || [ ! -e "/proc/$receiver" ]; do
		sleep 0.1
	done
	kill -KILL "$receiver"
	may="sender:receiver_late:receiver:send" # until the connection breaks
	named "receiver:dead sender:peer_gone:receiver:send"
	has_received ||
		wrong "the record of the killed receiver has its last events" "$(src/weft-top --events "$receiver" | tail -5)"
	record_tells "sender:peer_gone:receiver:send"
}

slow_rail() {
	settings=("${four[@]}" "$uneven")
	start_pair --bytes 1048576
	named "sender:network_slow:fault2 sender:network_slow:receiver:send:fault2"
	record_tells "sender:network_slow:fault2 sender:network_slow:receiver:send:fault2"
}

# The receiver's record alone is what weft-top sees on another host. The question that is answered takes some seconds.
other_host_is_told() {
	local try
	for ((try = 0; try < 300; try++)); do
		! src/weft-top --once --pid "$receiver" | grep -q "failed: the peer says that its half has: " || return
		sleep 0.1
	done
	wrong "the receiver's record tells of the sender's failure" "$(src/weft-top --once --pid "$receiver")"
}

dead_nic() {
	settings=("${four[@]}" "$even" FAULT_KILL_AFTER=0,0,200,0)
	start_pair --bytes 1048576
	named "sender:rail_down:fault2 sender:rail_down:receiver:send:fault2"
	src/weft-top --once | grep -q "NIC fault2 .*down for .*failed" || wrong "weft-top says why" "$(src/weft-top --once)"
	src/weft-exporter --textfile "$tmp" --once
	[ "$(grep '^weft_rail_up{.*fault' "$tmp/weft.prom" | grep "pid=\"$sender\"" | sed 's/.*nic="\([a-z0-9]*\)"} /\1=/' | xargs)" = \
		"fault0=1 fault1=1 fault2=0 fault3=1" ] || wrong "the exporter says which NIC is down" "$(grep weft_rail_up "$tmp/weft.prom")"
	grep -q "send comm to peer .* on NIC fault2 " "$tmp/err" || wrong "the log names the NIC" "$(<"$tmp/err")"
	other_host_is_told
	record_tells "sender:rail_down:fault2 sender:rail_down:receiver:send:fault2"
}

# Two hosts with the NICs e0 and e1: the switch port of e1 fails, so that both ends lose the link.
no_e1="receiver:rail_down:e1 receiver:rail_down:sender:receive:e1 sender:rail_down:e1 sender:rail_down:receiver:send:e1"
start_hosts() {
	settings=(WEFT_PROVIDER=tcp WEFT_NICS=e0,e1 WEFT_TEST_RAILS=2 FI_TCP_IFACE= FI_NET_IFACE= WEFT_STALL_WARN=2s)
	sender_by=(ip netns exec "$pair_prefix-a")
	start_pair --bytes 1048576 --receive-in "$pair_prefix-b"
	sender_by=()
}

down_link() {
	start_hosts
	on a ip link set e1 down
	named "$no_e1"
	src/weft-top --events "$sender" | grep -q "  rail down  .*rail 1" ||
		wrong "the events tell that the rail went down" "$(src/weft-top --events "$sender" | tail -5)"
	watchdog_says "send comm to peer [^ ]* pid $receiver at .* is on the wire for .* on rail e1"
	record_tells "sender:rail_down:e1 sender:rail_down:receiver:send:e1"
	on a ip link set e1 up
	pair_carries
}

# The third NIC of a p5's device dies silently. Either side may notice: its message, or the silence of the peer's NIC.
dead_efa_nic() {
	local nic=rdmap81s0-rdm try
	settings=(LD_PRELOAD="$softefa_preload" FI_PROVIDER=efa WEFT_PROVIDER=efa "WEFT_NICS=rdma*" WEFT_NIC_TIMEOUT=10 SOFTEFA_KILL=2:100)
	start_pair --bytes 1048576
	may="sender:stuck:receiver:send sender:stuck:receiver:send:$nic sender:receiver_late:receiver:send
		receiver:stuck:sender:receive receiver:sender_late:sender:receive
		sender:rail_down:$nic sender:rail_down:receiver:send:$nic
		receiver:rail_down:$nic receiver:rail_down:sender:receive:$nic"
	for try in {1..60}; do
		look ""
		[[ $said != *:rail_down:$nic* ]] || break
	done
	[[ $said = *:rail_down:$nic* ]] || wrong "not named: $nic" "$(<"$tmp/err")" "$(src/weft-top --once)"
	times+=("$try")
	src/weft-exporter --textfile "$tmp" --once
	grep -q "^weft_rail_up{.*nic=\"$nic\"} 0" "$tmp/weft.prom" || wrong "the exporter says that it is down" "$(grep weft_rail_up "$tmp/weft.prom")"
	! grep "^weft_rail_up{.*} 0" "$tmp/weft.prom" | grep -v "$nic" || wrong "the exporter says that another is down"
}

link_returns() {
	local try
	start_hosts
	on a ip link set e1 down
	named "$no_e1"
	on a ip link set e1 up
	# until the connection tries again
	may="$no_e1 sender:stuck:receiver:send:e1 receiver:stuck:sender:receive"
	for try in {1..30}; do
		look ""
		[ -n "$said" ] || break
	done
	[ -z "$said" ] || wrong "still blamed in report $try after the link came back: $said"
}

case_runs healthy "a healthy pair"
case_runs healthy_rails "a healthy pair with four NICs"
case_runs busy_host "a healthy pair on a busy host, and one whose receiver is late"
case_runs late_receiver "a receiver that posts 50 ms late"
case_runs late_sender "a sender that sends 50 ms late"
case_runs healthy_small "a healthy pair with small messages"
case_runs late_receiver_small "a receiver that posts small messages 50 ms late"
case_runs late_sender_small "a sender that sends small messages 50 ms late"
case_runs stopped_sender_small "a sender of small messages stopped by SIGSTOP"
case_runs stopped "a receiver stopped by SIGSTOP"
case_runs resumed "the same, after SIGCONT"
case_runs killed "a receiver that was killed"
case_runs slow_rail "one of four NICs at a fifth of the speed"
case_runs dead_nic "one of four NICs dies"
reason=$(netns_missing)
if [ -n "$reason" ]; then
	skip "the link of one of two NICs is down" "$reason"
elif ! pair_up; then
	bad "two hosts" "cannot make them"
else
	case_runs down_link "the link of one of two NICs is down"
	case_runs link_returns "the link comes back"
fi
reason=$(softefa_missing)
if [ -n "$reason" ]; then
	skip "one of four EFA NICs dies" "$reason"
else
	softefa_need
	trap 'culprits_end; rm -rf "$softefa_tmp"' EXIT
	softefa_machine p5.48xlarge 0
	case_runs dead_efa_nic "one of four EFA NICs dies"
fi
tap_done
