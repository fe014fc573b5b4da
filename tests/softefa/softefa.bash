# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For scripts that run programs on the software EFA device: source it after tap.bash, in the build directory.

softefa_so=$PWD/tests/softefa/.libs/libsoftefa.so
softefa_machines=$(cd "$(dirname "${BASH_SOURCE[0]}")/../topo/machines" && pwd)

# Why nothing can run on the device here, or nothing.
softefa_missing() {
	if [ ! -e "$softefa_so" ]; then
		echo "built without the headers of libibverbs"
	elif [ "${TEST_SANITIZER-}" = thread ]; then
		echo "ThreadSanitizer and a preloaded library do not go together"
	elif ! ldd tests/softefa/.libs/pingpong tests/softefa/pingpong 2>/dev/null | grep -q libefa; then
		echo "libfabric has no efa provider"
	fi
}

# Ends the script unless the device can be used; else gives it a directory and a log of its own, and softefa.
softefa_need() {
	local why
	why=$(softefa_missing)
	if [ -n "$why" ]; then
		skip "software EFA device" "$why"
		tap_done
	fi
	softefa_tmp=$(mktemp -d)
	trap 'rm -rf "$softefa_tmp"' EXIT
	mkdir "$softefa_tmp/dir"
	export SOFTEFA_DIR=$softefa_tmp/dir SOFTEFA_LOG=$softefa_tmp/log
	unset SOFTEFA_LINK SOFTEFA_GHOST SOFTEFA_NICS SOFTEFA_GENERATION SOFTEFA_CAPS SOFTEFA_HOST SOFTEFA_SEED SOFTEFA_REORDER SOFTEFA_RNR \
		SOFTEFA_LOSS SOFTEFA_DUPLICATE SOFTEFA_DEAD_MS SOFTEFA_KILL SOFTEFA_SYSFS SOFTEFA_MTU \
		SOFTEFA_TIME SOFTEFA_LATENCY_NS SOFTEFA_LOOK_NS SOFTEFA_RATE
	softefa_preload=$softefa_so
	# The address sanitizer's library wants to be the first.
	[ "${TEST_SANITIZER-}" != address ] ||
		softefa_preload="$(${TEST_CC:-cc} -print-file-name=libasan.so) $softefa_so"
}

# Runs a command, which may start with assignments, on the device.
softefa() {
	: >"$SOFTEFA_LOG"
	env LD_PRELOAD="$softefa_preload" FI_PROVIDER=efa timeout 120 env "$@"
}

# A machine of tests/topo: its tree for Weft, and its NICs, or those of one of Weft's devices, for the software device.
softefa_machine() { # name, device (all)
	export WEFT_TOPOLOGY=$softefa_machines/$1.xml
	# "  NIC 0000:4f:00.0  rdmap79s0, 100 Gb/s  -> device 0"
	SOFTEFA_NICS=$(src/weft-info --topology --from "$WEFT_TOPOLOGY" 2>/dev/null |
		sed -n "s|^ *NIC \([0-9a-f:.]*\) .*, \([0-9]*\) Gb/s  -> device ${2-[0-9]*}\$|\1@\2000|p" | paste -sd,)
	export SOFTEFA_NICS
}
