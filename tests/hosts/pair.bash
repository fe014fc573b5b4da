# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Two hosts as network namespaces, joined by three cables, so that a fault can affect one cable alone. Source it and
# call pair_up; pair_down removes everything.
#
#	a  meet 10.90.0.1 -- 10.90.0.2 meet  b	where the ranks of a benchmark meet
#	a  e0   10.91.0.1 -- 10.91.0.2 e0    b	traffic
#	a  e1   10.92.0.1 -- 10.92.0.2 e1    b	traffic

pair_prefix=wlost$$

# Runs a command on a host.
on() { # host, command...
	local host=$1
	shift
	ip netns exec "$pair_prefix-$host" "$@"
}

pair_cable() { # interface, network
	ip link add "$1" netns "$pair_prefix-a" type veth peer name "$1" netns "$pair_prefix-b" &&
		ip -n "$pair_prefix-a" addr add "$2.1/24" dev "$1" && ip -n "$pair_prefix-a" link set "$1" up &&
		ip -n "$pair_prefix-b" addr add "$2.2/24" dev "$1" && ip -n "$pair_prefix-b" link set "$1" up
}

pair_up() {
	local host
	for host in a b; do
		ip netns add "$pair_prefix-$host" && ip -n "$pair_prefix-$host" link set lo up || return
	done
	pair_cable meet 10.90.0 && pair_cable e0 10.91.0 && pair_cable e1 10.92.0 && pair_carries
}

# The kernel needs a moment to detect that a cable has two ends.
pair_carries() {
	local host try
	for ((try = 0; try < 300; try++)); do
		for host in a b; do
			[ "$(ip -n "$pair_prefix-$host" -o link show up type veth | grep -c 'state UP')" = 3 ] && continue
			sleep 0.1
			continue 2
		done
		return 0
	done
	return 1
}

# The rate of an interface on both hosts, as a NIC has one, without losses.
pair_shape() { # interface, rate, bytes at once
	local host
	for host in a b; do
		on $host tc qdisc replace dev "$1" root tbf rate "$2" burst "${3:-64k}" limit 4000000 || return
	done
}

# The bytes per microsecond, each way, of two ranks that send to each other.
pair_rate() { # NICs, size, file for what each rank prints: .0 or .1 is added
	local rank hosts=(a b) pids=()
	for rank in 0 1; do
		RANK=$rank WORLD_SIZE=2 MASTER_ADDR=10.90.0.1 MASTER_PORT=29735 WEFT_PROVIDER=tcp WEFT_NICS=$1 WEFT_RAILS=2 \
			on "${hosts[rank]}" env -u FI_TCP_IFACE -u FI_NET_IFACE timeout 300 benchmarks/sendrecv_perf --chunk 512K \
			-b "$2" -e "$2" -n 2 -w 1 -c 0 >"$3.$rank" 2>&1 &
		pids+=($!)
	done
	wait "${pids[@]}"
	awk '!/^#/ && $1 > 0 && $6 > 0 { print $1 / $6 }' "$3.0"
}

pair_down() {
	local host pid
	for host in a b; do
		# Only processes in the namespaces of this script.
		for pid in $(ip netns pids "$pair_prefix-$host" 2>/dev/null); do
			kill -KILL "$pid" 2>/dev/null
		done
		ip netns del "$pair_prefix-$host" 2>/dev/null
	done
}
