#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two ranks on two hosts, which are network namespaces of this test, while the path of the liveness connections, or all
# paths between them, are closed. Open paths still work, and messages contain observed facts only. Needs root and ip.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/check/netns.bash
. "$here/../check/netns.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
unset WEFT_NICS FI_TCP_IFACE FI_NET_IFACE
export WEFT_PROVIDER=tcp

a=wlifea$$ b=wlifeb$$
reason=$(netns_missing)
if [ -n "$reason" ]; then
	skip 'liveness connections between hosts' "$reason"
	tap_done
fi
ip netns add "$a"
ip netns add "$b"
tmp=$(mktemp -d)
trap 'ip netns del "$a"; ip netns del "$b"; rm -rf "$tmp"' EXIT

# Data uses 10.1.0, liveness connections use 10.2.0, the ranks meet over 10.9.0.
new_hosts() {
	local host net i=0
	for host in $a $b; do
		ip netns del "$host"
		ip netns add "$host"
		ip -n "$host" link set lo up
	done
	for net in data mgmt; do
		ip -n "$a" link add $net type veth peer name $net netns $b
	done
	for host in $a $b; do
		i=$((i + 1))
		ip -n "$host" addr add 10.1.0.$i/24 dev data
		ip -n "$host" addr add 10.2.0.$i/24 dev data
		ip -n "$host" addr add 10.9.0.$i/24 dev mgmt
		for net in data mgmt; do ip -n "$host" link set $net up; done
	done
	for host in $a $b; do # a link takes a moment
		for _ in {1..600}; do
			[ "$(ip -n "$host" -o link show up | grep -c 'state UP')" -lt 2 ] || break
			sleep 0.05
		done
	done
}

# Packets to the other host's address in this net are lost, as behind a firewall that drops them.
drop() { # nets...
	local net
	for net in "$@"; do
		ip -n "$a" neigh replace 10.$net.0.2 lladdr 02:00:00:00:00:07 dev data
		ip -n "$b" neigh replace 10.$net.0.1 lladdr 02:00:00:00:00:07 dev data
	done
}

rank() { # rank, host, settings...
	local rank=$1 host=$2
	shift 2
	RANK=$rank WORLD_SIZE=2 MASTER_ADDR=10.9.0.1 MASTER_PORT=29561 ip netns exec "$host" \
		env WEFT_LOG=warn WEFT_NICS=data WEFT_LIFELINE_ADDR=10.2.0.$((rank + 1)) "$@" \
		timeout -k 5 120 benchmarks/all_reduce_perf -b 8 -e 64K -f 16 >"$tmp/$rank" 2>&1
}

# Runs both ranks; sets status (the sum of their exit statuses) and said (Weft's warnings).
job() { # settings...
	rank 0 $a "$@" &
	local first=$!
	rank 1 $b "$@"
	status=$?
	wait $first
	status=$((status + $?))
	said=$(grep -h '^weft: ' "$tmp/0" "$tmp/1")
}

works() { # description
	if [ $status -eq 0 ]; then ok "$1"; else bad "$1" "exit statuses: $status" "$(tail -n 8 "$tmp/0")" "$(tail -n 8 "$tmp/1")"; fi
}

# Passes if one line contains all parts.
tells() { # description, parts...
	local part lines=$said
	for part in "${@:2}"; do lines=$(grep -F -- "$part" <<<"$lines"); done
	if [ -n "$lines" ]; then ok "$1"; else bad "$1" "wanted: ${*:2}" "$said"; fi
}

claims_nothing() { # description
	none "$1" "$(grep -E 'has died|is gone|is alive' <<<"$said")"
}

new_hosts
job
works 'all ways are open'
none 'all ways are open: nothing to be said' "$said"

new_hosts
ip -n "$a" route add unreachable 10.2.0.2
ip -n "$b" route add unreachable 10.2.0.1
job
works 'the liveness connection is rejected: the data goes its way'
tells 'the liveness connection is rejected: from where to where, errno, setting, firewall' \
	'10.2.0.2' 'No route to host' 'firewall' 'WEFT_LIFELINE_ADDR'
claims_nothing 'the liveness connection is rejected: nobody is said to be dead or alive'

new_hosts
drop 2
job WEFT_CONNECT_TIMEOUT=6s
works 'the liveness connection gets no answer: the data goes its way'
tells 'the liveness connection gets no answer: from where to where, setting, firewall' \
	'nothing has answered' '10.2.0.1' '10.2.0.2' 'firewall' 'WEFT_LIFELINE_ADDR'
claims_nothing 'the liveness connection gets no answer: nobody is said to be dead or alive'

new_hosts
drop 1 2
job WEFT_CONNECT_TIMEOUT=60s # connect gives up long before accept does, for want of a liveness connection
if [ $status -ne 0 ]; then ok 'no way is open: it fails'; else bad 'no way is open: it fails'; fi
tells 'no way is open: the request has not left' 'no answer from peer' '10.1.0.' 'has not left' 'firewall' 'WEFT_NICS'
claims_nothing 'no way is open: nobody is said to be dead or alive'

# One host has both families, the other IPv6 only: they connect, or each side reports the difference at connect.
new_hosts
for host in $a $b; do
	i=$([ $host = $a ] && echo 1 || echo 2)
	ip -n "$host" addr add fd00:1::$i/64 dev data nodad
	ip -n "$host" addr del 10.2.0.$i/24 dev data
done
ip -n "$b" addr del 10.1.0.2/24 dev data
job WEFT_LIFELINE_ADDR=auto WEFT_CONNECT_TIMEOUT=6s
if [ $status -eq 0 ]; then
	ok 'IPv6 only meets both families: it works'
else
	tells 'IPv6 only meets both families: said' 'WEFT_IP_FAMILY'
fi
job WEFT_LIFELINE_ADDR=auto WEFT_IP_FAMILY=ipv6
works 'IPv6 only meets both families, with the setting'

tap_done
