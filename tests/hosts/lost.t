#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Silent losses of a network between two hosts (see pair.bash): a connection is reset, large packets are dropped, one of
# two cables is cut. Either all data arrive and are verified, or both ranks end with an error that names a cause; no
# rank waits forever. A rank that is only late is not treated as a loss.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/hosts/job.bash
. "$here/job.bash"

# A run that ends before the disturbance proves nothing.
running() {
	kill -0 "${pids[0]}" 2>/dev/null && kill -0 "${pids[1]}" 2>/dev/null
}

# The data connections of host a on e0 and e1: "bytes local-port peer-port", busiest last. Lifelines are excluded by
# their keep-alive timers.
connections() {
	on a ss -tniHOo state established | awk '!/keepalive/ {
		split("", address)
		n = bytes = 0
		for (i = 1; i <= NF; i++) {
			if ($i ~ /^10\.9[12]\.0\.[12]:[0-9]+$/) address[n++] = $i
			if ($i ~ /^bytes_(sent|received):/) { sub(/.*:/, "", $i); bytes += $i }
		}
		if (n < 2) next
		sub(/.*:/, "", address[0])
		sub(/.*:/, "", address[1])
		print bytes, address[0], address[1]
	}' | sort -n
}

# Waits until a data connection has carried this many bytes; `connections` lists it last, with its ports in $2 and $3.
until_carried() { # bytes
	local carried
	while running; do
		read -r carried _ < <(connections | tail -n 1)
		[ "${carried:-0}" -le "$1" ] || return 0
		sleep 0.02
	done
	return 1
}

# Passes if both ranks ended with errors, and a line of one of them names a cause.
failed_with_a_cause() {
	local rank
	for rank in 0 1; do
		[ "${ends[rank]}" != 0 ] && [ "${ends[rank]}" -lt 124 ] || return
	done
	grep -qE "NET/weft.* (send|receive) comm to peer .*($1)" "$work/0" "$work/1"
}

either() { # description, pattern of causes
	if job_verified || failed_with_a_cause "$2"; then
		ok "$1"
		diag "exit ${ends[*]}$(grep -hoE -m 1 ' comm to peer .*' "$work/0" "$work/1" | sed 's/^/:/' | head -n 2)"
	else
		bad "$1" "$(job_diagnosis)"
	fi
}

# Accepted causes, which depend on the rank's observations: a number that does not move, an error of the provider, the
# end of the lifeline.
lost='the network has lost it|[Cc]onnection reset|reset by peer|[Bb]roken pipe|could not be delivered|could not deliver'
lost+='|reports that its half has failed|the peer process has died or its host is unreachable'

reset_connection() { # protocol
	local what="$1: the data connection is reset in mid-job" from to
	WEFT_NICS=e0 WEFT_PROTOCOL=$1 job_start -b 8 -e 8 -n 20000 -w 0 -c 1
	if ! until_carried 100000; then
		job_finish
		bad "$what" "the job ended before it was disturbed" "$(job_diagnosis)"
		return
	fi
	read -r _ from to < <(connections | tail -n 1)
	on a ss -K "( sport = :$from and dport = :$to )" >/dev/null 2>"$work/ss"
	if connections | grep -q " $from $to\$"; then
		kill "${pids[@]}"
		job_finish
		skip "$what" "ss -K ends no connection here"
		return
	fi
	job_finish
	either "$what" "$lost"
}

# A path that passes packets of 1200 bytes and drops full-size ones.
black_hole() { # protocol
	local what="$1: large packets vanish"
	for host in a b; do
		if ! on $host ip link set e0 gso_max_segs 1 2>"$work/qdisc" ||
			! on $host tc qdisc replace dev e0 root tbf rate 1gbit burst 1200 limit 1000000 2>"$work/qdisc"; then
			skip "$what" "tc: $(head -n 1 "$work/qdisc")"
			return
		fi
	done
	WEFT_NICS=e0 WEFT_PROTOCOL=$1 job_start -b 8 -e 1M -f 64 -n 20 -w 0 -c 1
	job_finish
	for host in a b; do
		on $host tc qdisc del dev e0 root
	done
	either "$what" "$lost"
}

# The lifelines are on e0.
cable_is_cut() { # interface
	local what="two NICs as rails: the cable of $1 is cut for good"
	WEFT_NICS=e0,e1 WEFT_TEST_RAILS=2 job_start -b 4M -e 4M -n 3000 -w 0 -c 1
	if ! until_carried 20000000; then
		job_finish
		bad "$what" "the job ended before it was disturbed" "$(job_diagnosis)"
		return
	fi
	on a ip link set "$1" down
	job_finish
	on a ip link set "$1" up
	either "$what" "$lost"
	# A sender knows which of its rails still holds bytes, a receiver which one has not brought its stripe.
	none "... a rank whose message is lost names $1" "$(grep -hE '(send|receive) comm to peer .* (has not moved|failed \()' "$work/0" "$work/1" |
		grep -vE "on NIC $1 |on NICs e0 e1 ")"
}

late_rank() {
	local what="a rank that stops for 10 s is waited for" pid
	WEFT_PEER_TIMEOUT=4s WEFT_NICS=e0 job_start -b 1M -e 1M -n 2000 -w 0 -c 1
	if ! until_carried 5000000; then
		job_finish
		bad "$what" "the job ended before it was disturbed" "$(job_diagnosis)"
		return
	fi
	pid=$(job_process 1)
	kill -STOP "$pid"
	sleep 10
	[ "$(ps -o stat= -p "$pid" | cut -c 1)" = T ] || bad "the rank has stopped" "$(ps -o pid,stat,args -p "$pid")"
	kill -CONT "$pid"
	job_finish
	if job_verified; then ok "$what"; else bad "$what" "$(job_diagnosis)"; fi
}

job_need "losses between two network namespaces"
if command -v ss >/dev/null; then
	reset_connection tagged
	reset_connection rma
	cable_is_cut e1
	cable_is_cut e0
	late_rank
else
	skip "reset connections, cut cables, late ranks" "needs ss of iproute2"
fi
if command -v tc >/dev/null; then
	black_hole tagged
	black_hole rma
else
	skip "large packets vanish" "needs tc of iproute2"
fi
tap_done
