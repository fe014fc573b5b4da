# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For scripts that run programs on the software EFA device. Source it after tap.bash, in the build directory.

softefa_so=$PWD/tests/softefa/.libs/libsoftefa.so
softefa_machines=$(cd "$(dirname "${BASH_SOURCE[0]}")/../topo/machines" && pwd)

# The libfabric of the tests, and the providers that it loads from files.
softefa_libfabric() {
	local library
	library=$(ldd tests/softefa/.libs/pingpong tests/softefa/pingpong 2>/dev/null |
		awk '/libfabric/ { print $3; exit }')
	echo "$library"
	find "$(dirname "$library")/libfabric" -name '*-fi.so' 2>/dev/null
}

# Prints the reason if the device is unusable here.
softefa_missing() {
	if [ ! -e "$softefa_so" ]; then
		echo "built without the headers of libibverbs"
	elif [ "${TEST_SANITIZER-}" = thread ]; then
		echo "ThreadSanitizer and a preloaded library do not go together"
	elif ! softefa_libfabric | xargs ldd 2>/dev/null | grep -q libefa; then
		echo "libfabric has no efa provider"
	fi
}

# Ends the script if the device is unusable; else gives the script a directory, a log and the function softefa.
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
	# The address sanitizer's library must be the first.
	[ "${TEST_SANITIZER-}" != address ] ||
		softefa_preload="$(${TEST_CC:-cc} -print-file-name=libasan.so) $softefa_so"
}

# Runs a command on the device; assignments may precede the command.
softefa() {
	: >"$SOFTEFA_LOG"
	env LD_PRELOAD="$softefa_preload" FI_PROVIDER=efa timeout 1200 env "$@"
}

# Uses a machine of tests/topo: its tree for Weft, and all its NICs, or those of one of Weft's devices, for the software
# device.
softefa_machine() { # name, device (all)
	export WEFT_TOPOLOGY=$softefa_machines/$1.xml
	# "  NIC 0000:4f:00.0  rdmap79s0, 100 Gb/s  -> device 0"
	SOFTEFA_NICS=$(src/weft-info --topology --from "$WEFT_TOPOLOGY" 2>/dev/null |
		sed -n "s|^ *NIC \([0-9a-f:.]*\) .*, \([0-9]*\) Gb/s  -> device ${2-[0-9]*}\$|\1@\2000|p" | paste -sd,)
	export SOFTEFA_NICS
}
