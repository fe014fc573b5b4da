#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every machine in machines/: the fault provider presents its NICs, hwloc its tree, and the plugin must make the
# devices that the file expects ("expect DEVICE RAILS MBPS"), in whatever order the NICs come. On one of them
# verified data move over every device and rail. A new machine is one more file.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
use_fault_provider
export WEFT_TOPOLOGY=$tmp/xml
get=tests/bench/net_perf_json

machine() { # file: sets what stands for it
	awk -f "$here/xml.awk" "$1" "$1" >"$tmp/xml"
	FAULT_NICS=$(awk '$1 == "nic" { printf "%s%s@%s", n++ ? "," : "", $2, $3 }' "$1")
	export FAULT_NICS
}

# "DEVICE RAILS MBPS" lines
devices() {
	local i n
	src/weft-info --json >"$tmp/json" 2>"$tmp/err" || cat "$tmp/err"
	n=$($get "$tmp/json" devices)
	for ((i = 0; i < n; i++)); do
		echo "$i $($get "$tmp/json" devices $i rails) $($get "$tmp/json" devices $i speed_mbps)"
	done
}

for file in "$here"/machines/*.txt; do
	name=$(basename "$file" .txt)
	machine "$file"
	expected=$(sed -n 's/^expect //p' "$file")
	got=$(devices)
	[ "$got" = "$expected" ] && ok "$name" || bad "$name" "$(diff <(echo "$expected") <(echo "$got"))"
	FAULT_NICS=$(tr ',' '\n' <<<"$FAULT_NICS" | tac | paste -sd,)
	got=$(devices)
	[ "$got" = "$expected" ] && ok "$name, the other way round" ||
		bad "$name, the other way round" "$(diff <(echo "$expected") <(echo "$got"))"
done

machine "$here/machines/p5.48xlarge.txt"
none "WEFT_RAILS=1: each NIC is a device" "$(WEFT_RAILS=1 devices | awk '$2 != 1' ; [ "$(WEFT_RAILS=1 devices | wc -l)" = 32 ] || echo not 32)"
none "WEFT_RAILS=2: twice as many devices of two" "$(WEFT_RAILS=2 devices | awk '$2 != 2'; [ "$(WEFT_RAILS=2 devices | wc -l)" = 16 ] || echo not 16)"
# Half of its devices are on each socket; what this machine has of that is for tests/unit/near.
devices >"$tmp/list"
none "p5.48xlarge: four devices on either NUMA node" "$(for i in {0..7}; do
	node=$($get "$tmp/json" devices "$i" numa_node)
	[ "$node" = $((i / 4)) ] || echo "device $i is on node $node"
done)"
none "weft-info --placement names the nodes" "$(src/weft-info --placement >"$tmp/out" 2>&1
	for i in {0..7}; do
		grep -Eq "^ +$i  fault$((4 * i)) +NUMA node $((i / 4)); " "$tmp/out" || echo "device $i: $(<"$tmp/out")"
	done)"
if WEFT_TOPOLOGY=$tmp/none src/weft-info 2>&1 | grep -q "WEFT_TOPOLOGY=.*is not a file"; then
	ok "a topology that can't be read is said"
else
	bad "a topology that can't be read is said" "$(WEFT_TOPOLOGY=$tmp/none src/weft-info 2>&1 | head -20)"
fi
for ((i = 0; i < 8; i++)); do
	if WEFT_PROTOCOL=rma tests/conformance/conformance --plugin src/.libs/libnccl-net-weft.so --device $i \
		--only data/large-sizes --only data/random >"$tmp/out" 2>&1; then
		ok "p5.48xlarge: data over device $i"
	else
		bad "p5.48xlarge: data over device $i" "$(grep -A8 '^not ok' "$tmp/out")"
	fi
done
tap_done
