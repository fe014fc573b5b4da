#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every machine in machines/: NAME.xml is hwloc's file; NAME.expected is the expected output of weft-info --topology,
# after comments on the origin of the layout. Then the fault provider presents the machine's NICs, hwloc presents its
# tree, and the plugin must make the same devices, whatever the order of the NICs. On one machine verified data move
# over every device and rail. A new machine needs two files, of which weft-info --save-topology writes the first.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
use_fault_provider
get=tests/bench/net_perf_json

# The tree; from "Devices" on, the devices without their two leading blanks.
draw() { # file
	src/weft-info --topology --from "$1" >"$tmp/drawing" 2>"$tmp/err" || cat "$tmp/err"
	sed '1,/^Devices/d; s/^  //' "$tmp/drawing"
}

machine() { # drawn before: sets what stands for it
	export WEFT_TOPOLOGY=$1
	# "  NIC 0000:4f:00.0  rdmap79s0, 100 Gb/s  -> device 0", as the provider's ADDRESS@MBPS
	FAULT_NICS=$(sed -n 's|^ *NIC \([0-9a-f:.]*\) .*, \([0-9]*\) Gb/s  -> device.*|\1@\2000|p' "$tmp/drawing" | paste -sd,)
	export FAULT_NICS
}

# Lines "DEVICE RAILS MBPS".
devices() {
	local i n
	src/weft-info --json >"$tmp/json" 2>"$tmp/err" || cat "$tmp/err"
	n=$($get "$tmp/json" devices)
	for ((i = 0; i < n; i++)); do
		echo "$i $($get "$tmp/json" devices $i rails) $($get "$tmp/json" devices $i speed_mbps)"
	done
}

for file in "$here"/machines/*.xml; do
	name=$(basename "$file" .xml)
	grep -v '^#' "${file%.xml}.expected" >"$tmp/expected"
	draw "$file" >"$tmp/got"
	none "$name" "$(diff "$tmp/expected" "$tmp/got")"
	machine "$file"
	expected=$(sed -n 's|^\([0-9]*\)  \([0-9]*\) Gb/s, \([0-9]*\) rail.*|\1 \3 \2000|p' "$tmp/expected")
	none "$name, by the plugin" "$(diff <(echo "$expected") <(devices))"
	FAULT_NICS=$(tr ',' '\n' <<<"$FAULT_NICS" | tac | paste -sd,)
	none "$name, the other way round" "$(diff <(echo "$expected") <(devices))"
done

# The file of a user: a speed that is no number, or no speed, counts as unknown (10 Gb/s).
none "a speed of nonsense is unknown" "$(
	for mbps in -200000 99999999999 junk 1e5 ' 7' ''; do
		sed "0,/\"WeftMbps\" value=\"[0-9]*\"/s//\"WeftMbps\" value=\"$mbps\"/" \
			"$here/machines/mixed-speeds.xml" >"$tmp/given.xml"
		grep -qF "\"WeftMbps\" value=\"$mbps\"" "$tmp/given.xml" || echo "'$mbps' is not in the file"
		draw "$tmp/given.xml" >"$tmp/got"
		grep -q '^ *NIC 0000:10:01.0  mlx5_0  -> device 0$' "$tmp/drawing" || echo "'$mbps': $(grep mlx5_0 "$tmp/drawing")"
		grep -q '^0  310 Gb/s' "$tmp/got" || echo "'$mbps': $(head -n 1 "$tmp/got")"
	done)"

p5=$here/machines/p5.48xlarge.xml
draw "$p5" >"$tmp/got"
machine "$p5"
none "the tree has what holds NICs or GPUs" "$(
	for what in 'machine 1' 'socket 2' 'bridge 8' 'NIC 32' 'GPU 8'; do
		[ "$(grep -c "^ *${what% *}\b" "$tmp/drawing")" = "${what#* }" ] || echo "not $what"
	done)"
none "a machine's other NICs are shown, not used" "$(draw "$here/machines/p6-b200.48xlarge.xml" >"$tmp/got"
	[ "$(grep -c 'ibp.*not used' "$tmp/drawing")" = 2 ] || cat "$tmp/drawing")"
none "p6e-gb200: NICs that are not for GPUs are left out" "$(
	WEFT_PLATFORM=p6e-gb200.36xlarge src/weft-info --topology --from "$here/machines/p6e-gb200-all-nics.xml" |
		sed '1,/^Devices/d' | grep -c '2 rails: .*; GPU ' | grep -vx 4
	WEFT_PLATFORM=p6e-gb200.36xlarge src/weft-info --topology --from "$here/machines/p6e-gb200-all-nics.xml" |
		grep '; no GPU')"
none "WEFT_RAILS=1: each NIC is a device" "$(WEFT_RAILS=1 devices | awk '$2 != 1' ; [ "$(WEFT_RAILS=1 devices | wc -l)" = 32 ] || echo not 32)"
none "WEFT_RAILS=2: twice as many devices of two" "$(WEFT_RAILS=2 devices | awk '$2 != 2'; [ "$(WEFT_RAILS=2 devices | wc -l)" = 16 ] || echo not 16)"
# Half of the devices are on each socket. tests/unit/near tests memory on this machine's own nodes.
devices >"$tmp/list"
none "p5.48xlarge: four devices on either NUMA node" "$(for i in {0..7}; do
	node=$($get "$tmp/json" devices "$i" numa_node)
	[ "$node" = $((i / 4)) ] || echo "device $i is on node $node"
done)"
none "weft-info --placement names the nodes" "$(src/weft-info --placement >"$tmp/out" 2>&1
	for i in {0..7}; do
		grep -Eq "^ +$i  fault$((4 * i)) +NUMA node $((i / 4)); " "$tmp/out" || echo "device $i: $(<"$tmp/out")"
	done)"
none "--topology of NICs that are here" "$(src/weft-info --topology >"$tmp/drawing" 2>&1
	if [ "$(grep -c '^ *NIC .*-> device [0-7]$' "$tmp/drawing")" != 32 ] ||
		! grep -q '^  7  400 Gb/s, 4 rails: fault28 ' "$tmp/drawing"; then
		cat "$tmp/drawing"
	fi)"
none "a saved machine is drawn like the machine" "$(export WEFT_PROVIDER=tcp WEFT_NICS=lo WEFT_TOPOLOGY='' FI_PROVIDER_PATH=''
	src/weft-info --save-topology "$tmp/saved" 2>&1
	src/weft-info --topology 2>&1 | sed '/^Devices/,$d; s/ *->.*//' >"$tmp/here"
	src/weft-info --topology --from "$tmp/saved" 2>&1 | sed '/^Devices/,$d; s/ *->.*//' | diff "$tmp/here" -)"
none "a file that can't be written is an error" "$(src/weft-info --save-topology "$tmp/no/such" >"$tmp/out" 2>&1; rc=$?
	[ $rc = 1 ] && grep -q "cannot write the machine to $tmp/no/such: " "$tmp/out" || echo "$rc: $(<"$tmp/out")")"
none "--from what is no machine is an error" "$(echo '<topology' >"$tmp/broken"
	for file in "$tmp/broken" "$tmp/no/such" /; do
		src/weft-info --topology --from "$file" >"$tmp/out" 2>&1
		rc=$?
		[ $rc = 2 ] && grep -q "$file is not a file that hwloc can read" "$tmp/out" || echo "$rc: $(<"$tmp/out")"
	done)"
# Weft's topology for NCCL: on a p4d, four bridges with a NIC and two GPUs each, two bridges on each node.
none "p4d.24xlarge: NCCL's file is NCCL's form" "$(src/weft-info --nccl-topology --from "$here/machines/p4d.24xlarge.xml" |
	diff "$here/p4d-nccl.xml" -)"
none "where the tree has bridges, NCCL is told nothing" "$(
	for name in p5.48xlarge p5en.48xlarge p6-b200.48xlarge dgx laptop g5.48xlarge; do
		src/weft-info --nccl-topology --from "$here/machines/$name.xml" | grep -c '<pci' | grep -vx 0
	done)"
draw "$here/machines/p4d.24xlarge.xml" >"$tmp/got"
machine "$here/machines/p4d.24xlarge.xml"
given() { # settings: what the plugin's init makes of NCCL_TOPO_FILE
	env "$@" tests/topo/given src/.libs/libnccl-net-weft.so 2>&1
}
none "the plugin hands it over" "$(given WEFT_NCCL_TOPOLOGY=on | diff "$here/p4d-nccl.xml" -)"
none "... on that platform" "$(given WEFT_PLATFORM=p4d.24xlarge | diff "$here/p4d-nccl.xml" -)"
none "... and in place of one of a program before exec" "$(given WEFT_NCCL_TOPOLOGY=on NCCL_TOPO_FILE=/proc/self/fd/987 |
	diff "$here/p4d-nccl.xml" -)"
none "... not on another" "$(given A=1; given WEFT_PLATFORM=p5.48xlarge; given WEFT_PLATFORM=p4d.24xlarge WEFT_NCCL_TOPOLOGY=off)"
echo mine >"$tmp/mine"
none "... not in place of the user's" "$(given WEFT_NCCL_TOPOLOGY=on NCCL_TOPO_FILE="$tmp/mine" | grep -vx mine)"
none "weft-info says so" "$(
	WEFT_NCCL_TOPOLOGY=on src/weft-info | grep -q 'belong together: they are shown to NCCL' || echo no
	WEFT_NCCL_TOPOLOGY=off src/weft-info | grep -q 'belong together: they are not shown to NCCL (WEFT' || echo no
	NCCL_TOPO_FILE=x src/weft-info | grep -q 'belong together: they are not shown to NCCL, which' || echo no)"
draw "$p5" >"$tmp/got"
machine "$p5"
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
