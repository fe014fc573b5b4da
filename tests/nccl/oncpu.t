#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Real NCCL without a GPU: an unmodified libnccl.so.2 makes communicators, connects, registers, and moves data through
# Weft, while all work of the GPU is emulated. tests/nccl/device.h explains the method.
#
# NCCL_LIBRARY=FILE[:FILE...] replaces the search for the library.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/nccl/libraries.bash
. "$here/libraries.bash"
build=${TEST_BUILDDIR:?run by make check}
oncpu=$build/tests/nccl/oncpu
weft=$build/src/.libs/libnccl-net-weft.so
# This release forgets the plugin's name when it closes it, and then searches for the link beside it.
export LD_LIBRARY_PATH=$build/src/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
faulty=$build/tests/bench/.libs/faulty_plugin.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case ${TEST_SANITIZER-} in
'') ;;
*) echo "1..0 # SKIP replaced functions and the sanitizers do not go together"; exit 0 ;;
esac

for name in $(compgen -e NCCL_); do
	[ "$name" = NCCL_LIBRARY ] || unset "$name"
done
# These settings keep NCCL's use of CUDA small and make it select the emulated kernels.
export NCCL_CONF_FILE=/dev/null NCCL_IB_DISABLE=1 NCCL_SOCKET_IFNAME=lo WEFT_NICS=lo
export NCCL_CUMEM_ENABLE=0 NCCL_CUMEM_HOST_ENABLE=0 NCCL_NVLS_ENABLE=0 NCCL_RAS_ENABLE=0 NCCL_MNNVL_ENABLE=0
export NCCL_TOPO_FILE=$here/oncpu.xml NCCL_ALGO=ring NCCL_PROTO=simple
export NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=INIT,NET,P2P

# The first library that can be used, else the reason.
nccl='' reason='no libnccl.so.2 found; NCCL_LIBRARY=FILE names one'
while read -r lib; do
	[ -e "$lib" ] || continue
	said=$("$oncpu" "$lib" 1 version 2>&1)
	case $? in
	0) nccl=$lib; break ;;
	77) reason=$said ;;
	*) bad "$lib can be looked at" "$said" ;;
	esac
done < <(find_libraries)
if [ -z "$nccl" ]; then
	[ "$tap_failed" = 0 ] && { echo "1..0 # SKIP $reason"; exit 0; }
	tap_done
fi
echo "# $nccl"

run() { # plugin, ranks, what: leaves $status, and everything said in $work/out
	: >"$work/out"
	# Output is appended, because NCCL and the ranks use separate descriptors.
	NCCL_NET_PLUGIN=$1 timeout --kill-after=5 900 "$oncpu" "$nccl" "$2" "$3" >>"$work/out" 2>&1
	status=$?
}

# Passes if the exit status is 0 and NCCL reports that all ranks used only Weft.
works() { # description
	local ranks=$2 used
	used=$(grep -c 'Using network weft' "$work/out")
	if [ $status = 0 ] && [ "$used" -ge "$ranks" ] && grep -q 'via NET/weft/' "$work/out" &&
		! grep -q 'via P2P\|via SHM\|via NET/Socket' "$work/out"; then
		ok "$1"
	else
		bad "$1" "exit $status, network weft $used times" "$(grep -v 'NCCL INFO' "$work/out")" \
			"$(tail -n 30 "$work/out")"
	fi
}

for ranks in 2 4; do
	export NCCL_NET=weft # fail rather than use another network
	run "$weft" $ranks alltoall
	works "$ranks ranks: all-to-all by send and receive, 0 bytes to 1.5 MB, verified" $ranks
	run "$weft" $ranks allreduce
	works "$ranks ranks: ring all-reduce of 1 to a million elements, verified" $ranks
	run "$weft" $ranks abort
	works "$ranks ranks: abort with receives outstanding, then a new communicator, verified" $((2 * ranks))
	run "$weft" $ranks kill
	works "$ranks ranks: the others learn from NCCL that a rank was killed, and can abort" $ranks
	dead=$(sed -n 's|^.*rank [0-9]* is killed: pid ||p' "$work/out")
	none "$ranks ranks: and every one of them is told which process it was" "$(
		for ((r = 0; r < ranks - 1; r++)); do
			grep -q "^rank $r: NCCL's asynchronous error is .*NET/weft: .* pid $dead .* died" "$work/out" ||
				echo "rank $r: $(grep "^rank $r:" "$work/out")"
		done)"
done

# Tagged messages instead of writes; and data that the network corrupts must be detected.
WEFT_PROTOCOL=tagged run "$weft" 2 alltoall
works "2 ranks: all-to-all by tagged messages" 2
export NCCL_NET=faulty
FAULTY_INNER=$weft FAULTY_HOW=flip run "$faulty" 2 alltoall
if [ $status = 1 ] && grep -q 'an all-to-all delivered wrong bytes' "$work/out"; then
	ok "spoilt data is found, all-to-all"
else
	bad "spoilt data is found, all-to-all" "exit $status" "$(tail -n 30 "$work/out")"
fi
FAULTY_INNER=$weft FAULTY_HOW=flip run "$faulty" 2 allreduce
if [ $status = 1 ] && grep -q 'an all-reduce gave wrong sums' "$work/out"; then
	ok "spoilt data is found, all-reduce"
else
	bad "spoilt data is found, all-reduce" "exit $status" "$(tail -n 30 "$work/out")"
fi
tap_done
