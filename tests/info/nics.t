#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The default choice of NICs on hosts that are network namespaces of this test, and weft-info's reasons for excluded
# NICs. Needs root (or the right to make namespaces) and ip. Kinds of interfaces that the kernel lacks are skipped by
# name.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/check/netns.bash
. "$here/../check/netns.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
unset WEFT_NICS FI_TCP_IFACE FI_NET_IFACE
export WEFT_PROVIDER=tcp

host=wnics$$ far=wnicsfar$$
reason=$(netns_missing)
if [ -n "$reason" ]; then
	skip 'NICs by default' "$reason"
	tap_done
fi
ip netns add $host
ip netns add $far
tmp=$(mktemp -d)
trap 'ip netns del $host; ip netns del $far; rm -rf "$tmp"' EXIT

on() { ip netns exec $host "$@"; }
new_host() {
	ip netns del $host
	ip netns del $far
	ip netns add $host
	ip netns add $far
	ip -n $host link set lo up
	# Makes addresses usable at once.
	on sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 2>/dev/null
}
cable() { # interface, addresses...: with a far end
	local i=$1
	shift
	ip -n $host link add "$i" type veth peer name "f$i" netns $far && ip -n $far link set "f$i" up &&
		ip -n $host link set "$i" up && addresses "$i" "$@"
}
made() { # interface, kind..., then -- and addresses: false when this kernel has not the kind
	local i=$1
	shift
	local kind=()
	while [ "$1" != -- ]; do
		kind+=("$1")
		shift
	done
	shift
	ip -n $host link add "$i" type "${kind[@]}" 2>/dev/null && ip -n $host link set "$i" up && addresses "$i" "$@"
}
addresses() { # interface, addresses...
	local i=$1 a
	for a in "${@:2}"; do
		case $a in
		*:*) ip -n $host addr add "$a" dev "$i" nodad ;;
		*) ip -n $host addr add "$a" dev "$i" ;;
		esac || return
	done
}

look() { # settings...: sets out and taken, "eth0=10.1.0.1 ..."
	out=$(on env "$@" src/weft-info 2>&1)
	status=$?
	taken=$(sed -n 's/^  \* #[0-9]* *\([^ ]*\) *PCI [^,]*, \([^:]*[0-9a-f:]*\)$/\1=\2/p' <<<"$out" | sort | xargs)
}
takes() { # what, NICs, settings...
	look "${@:3}"
	if [ "$taken" = "$2" ] && [ $status = 0 ]; then ok "$1"; else bad "$1" "takes $taken, exit $status" "$out"; fi
}
leaves() { # what, NIC, reason (of the last look)
	if grep -q "^    #[0-9]* *$2  *PCI.*: left out: .*$3" <<<"$out"; then ok "$1"; else bad "$1" "$out"; fi
}

new_host
takes 'with nothing but the loopback, that' lo=127.0.0.1
cable eth0 10.1.0.1/24 fd00:1::1/64
takes 'a NIC rather than the loopback, its IPv4 address first' eth0=10.1.0.1
leaves 'the loopback is told to be one' lo '127.0.0.1 reaches this host only'
takes 'IPv6 when that is asked for' eth0=fd00:1::1 WEFT_IP_FAMILY=ipv6
cable eth1 10.2.0.1/24
on sysctl -qw net.ipv6.conf.eth1.disable_ipv6=1
takes 'each NIC that has an address' 'eth0=10.1.0.1 eth1=10.2.0.1'
takes 'a NIC without the family is left out' eth0=fd00:1::1 WEFT_IP_FAMILY=ipv6
leaves '... and why' eth1 'WEFT_IP_FAMILY asks for an IPv6 address'
look WEFT_IP_FAMILY=ipv6 WEFT_NICS=eth1
if [ $status = 2 ] && grep -q 'eth1' <<<"$out"; then ok 'its name does not help it'; else bad 'its name does not help it' "$out"; fi

# Second addresses and aliases are not additional NICs.
ip -n $host addr add 10.1.0.7/24 dev eth0
ip -n $host addr add 10.6.0.7/24 dev eth0 label eth0:1
takes 'one NIC with three addresses, and the first of them' 'eth0=10.1.0.1 eth1=10.2.0.1'
is() { # what, one, the other
	if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "$2, not $3" "$out"; fi
}
is 'an alias is not listed as a NIC' "$(grep -c '^  [* ] #[0-9]* *eth0' <<<"$out")" 1

# Interfaces that exist on every node, or lead nowhere.
cable eni0a1b fe80::a:1/64
cable bmc0 169.254.95.120/24
takes 'no NIC that has a link-local address only' 'eth0=10.1.0.1 eth1=10.2.0.1'
leaves 'IPv6 link-local is named' eni0a1b 'a link-local address only, fe80:'
leaves 'IPv4 link-local is named' bmc0 'a link-local address only, 169.254.95.120'
takes 'WEFT_NICS takes it all the same' bmc0=169.254.95.120 WEFT_NICS=bmc0
takes '^ takes from the default choice, and adds nothing' eth0=10.1.0.1 WEFT_NICS=^eth1
leaves 'what the list leaves out is told' eth1 'by WEFT_NICS'
leaves 'what the default leaves out, too' lo 'reaches this host only'
look WEFT_NICS=^eth0,eth1
if [ $status = 2 ] && grep -q 'WEFT_NICS=^eth0,eth1 leaves no NIC of those used by default' <<<"$out"; then
	ok '^ of all of them leaves none'
else
	bad '^ of all of them leaves none' "exit $status" "$out"
fi

if made green bridge -- 172.17.0.1/16; then
	cable pod
	ip -n $host link set pod master green
	takes 'no bridge of containers, whatever its name' 'eth0=10.1.0.1 eth1=10.2.0.1'
	leaves 'a bridge is named' green 'a bridge, and none of its ports leads out'
else
	skip 'bridges' 'this kernel makes none'
fi
if on ip tuntap add pipe mode tun 2>/dev/null; then
	addresses pipe 10.8.0.1/24 && ip -n $host link set pipe up
	takes 'no tun interface' 'eth0=10.1.0.1 eth1=10.2.0.1'
else
	skip 'tun interfaces' 'this kernel makes none'
fi
if made over vxlan id 7 dstport 4789 dev eth0 -- 10.9.0.1/24; then
	takes 'no tunnel' 'eth0=10.1.0.1 eth1=10.2.0.1'
	leaves 'a tunnel is named' over 'a tunnel: vxlan'
else
	skip 'vxlan' 'this kernel makes none'
fi
if made dns dummy -- 169.254.20.10/32 && made svc dummy -- 10.96.0.1/32; then
	takes 'no dummy interface' 'eth0=10.1.0.1 eth1=10.2.0.1'
	leaves 'a dummy is named' svc 'a dummy interface'
else
	skip 'dummy interfaces' 'this kernel makes none'
fi
if on ip link add link eth0 name lan type macvlan 2>/dev/null; then
	addresses lan 10.7.0.1/24
	ip -n $host link set lan up
	takes 'a macvlan is a way out' 'eth0=10.1.0.1 eth1=10.2.0.1 lan=10.7.0.1'
else
	skip 'macvlan' 'this kernel makes none'
fi

# The JSON output has the same choice, with the reasons.
on src/weft-info --json >"$tmp/j" 2>/dev/null
json() { # Python expression over d
	python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$tmp/j" "$1" 2>&1
}
if command -v python3 >/dev/null; then
	is 'JSON: those used have an address and no reason' \
		"$(json 'all(n["address"] and not n["why_not"] for n in d["nics"] if n["used"]) and sum(n["used"] for n in d["nics"]) > 1')" True
	is 'JSON: those left out have a reason' "$(json 'all(n["why_not"] for n in d["nics"] if not n["used"])')" True
else
	skip 'JSON' 'no python3'
fi

# The check of a node for jobs on several hosts.
requires() { # what, exit status, words, requirements, settings...
	local said
	said=$(on env "${@:5}" src/weft-info --require "$4" 2>&1)
	status=$?
	if [ $status = "$2" ] && grep -qF -- "$3" <<<"$said"; then ok "$1"; else bad "$1" "exit $status" "$said"; fi
}
requires 'a node with NICs is fit' 0 met provider=tcp,devices=2,nics=2,rails=1,speed=1
name=$(printf 'z\377\376')
if cable "$name" 10.11.0.1/24; then
	on src/weft-info --json >"$tmp/j" 2>"$tmp/err"
	status=$?
	is 'JSON: a name that is no UTF-8: exit status' $status 0
	command -v python3 >/dev/null && is 'JSON: ... is readable' "$(json 'sum("\ufffd" in n["name"] for n in d["nics"])')" 1
else
	skip 'a name that is no UTF-8' 'ip(8) makes none'
fi
new_host
cable eth0 10.1.0.1/24
requires 'a NIC with a link counts' 0 met nics=1
ip -n $host link set eth0 down
requires 'without a link it is not' 1 'no interface that leads to other hosts' nics=1
requires '... nor is there a device' 1 'a device: there is none that reaches other hosts' libfabric=1.0

# The choice if no better NIC exists.
new_host
on sysctl -qw net.ipv6.conf.default.addr_gen_mode=1 # no address by itself
cable eth0 fe80::a:1/64
takes 'a link-local NIC rather than the loopback' eth0=fe80::a:1
addresses lo 10.50.0.1/32
takes 'a routable address of the loopback rather than that' lo=10.50.0.1
addresses eth0 10.1.0.1/24
takes 'a NIC rather than an address on the loopback' eth0=10.1.0.1
leaves 'the address is told' lo 'on the loopback interface: other hosts may have the same'
ip -n $host route add default via 10.1.0.9 src 10.50.0.1
takes 'the address that the host sends from, too (BGP to the host)' 'eth0=10.1.0.1 lo=10.50.0.1'
new_host
if made cni bridge -- 10.88.0.1/16; then
	cable pod
	ip -n $host link set pod master cni
	takes 'a bridge rather than the loopback' cni=10.88.0.1
	requires '... which is no network' 1 'no interface that leads to other hosts' nics=1
else
	skip 'a bridge alone' 'this kernel makes none'
fi
tap_done
