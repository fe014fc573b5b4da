#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The benchmarks' engine nccl: its messages if NCCL or CUDA is missing; and, if a libnccl.so.2 is installed whose
# kernels are emulated, that release on the CPU over Weft. The emulation supports send, receive and the ring all-reduce
# of uint32 sums, which is sufficient for all_reduce_perf and all programs that send from rank to rank. All-gather,
# reduce-scatter, broadcast, reduce and several operations in a group (-m) need a GPU.
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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in $(compgen -e NCCL_); do
	[ "$name" = NCCL_LIBRARY ] || unset "$name"
done

run() { # program, arguments: leaves $status, and what was said in $work/out and $work/err
	local program=$1
	shift
	timeout --kill-after=5 900 "$build/benchmarks/$program" --engine nccl --ranks 2 "$@" \
		>"$work/out" 2>"$work/err"
	status=$?
}
ends() { # description, status, pattern in what was said
	if [ $status = "$2" ] && grep -qE -- "$3" "$work/out" "$work/err"; then
		ok "$1"
	else
		bad "$1" "exit $status" "$(cat "$work/out" "$work/err")"
	fi
}

# Files that are not libraries replace the missing ones.
mkdir "$work/none" "$work/part"
: >"$work/none/libnccl.so.2"
: >"$work/part/libcuda.so.1"
LD_LIBRARY_PATH=$work/none run all_reduce_perf -b 8 -e 8
ends "without NCCL: says so, exit 3" 3 'engine nccl: .*libnccl\.so\.2.*; NCCL is missing: install it'

if [ -n "${TEST_SANITIZER-}" ]; then
	skip "real NCCL on the CPU" "replaced functions and the sanitizers do not go together"
	tap_done
fi
nccl='' reason='no libnccl.so.2 found; NCCL_LIBRARY=FILE names one'
while read -r lib; do
	[ -e "$lib" ] || continue
	if said=$("$oncpu" "$lib" 1 version 2>&1); then
		nccl=$lib
		break
	fi
	reason=$said
done < <(find_libraries)
if [ -z "$nccl" ]; then
	skip "real NCCL on the CPU" "$reason"
	tap_done
fi
echo "# $nccl"
ln -s "$(realpath "$nccl")" "$work/part/libnccl.so.2"
LD_LIBRARY_PATH=$work/part run all_reduce_perf -b 8 -e 8
ends "without CUDA: says so, exit 3" 3 "engine nccl: .*libcuda\.so\.1.*; NVIDIA's driver is missing"

mkdir "$work/lib"
ln -s "$(realpath "$nccl")" "$work/lib/libnccl.so.2"
export LD_LIBRARY_PATH=$work/lib:$build/tests/nccl/.libs:$build/src/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export NCCL_CONF_FILE=/dev/null NCCL_IB_DISABLE=1 NCCL_SOCKET_IFNAME=lo
export NCCL_CUMEM_ENABLE=0 NCCL_CUMEM_HOST_ENABLE=0 NCCL_NVLS_ENABLE=0 NCCL_RAS_ENABLE=0 NCCL_MNNVL_ENABLE=0
export NCCL_TOPO_FILE=$here/oncpu.xml NCCL_ALGO=ring NCCL_PROTO=simple
export NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=INIT,NET

good() { # description, number of rows, what #wrong says in place: exit 0, and every connection over Weft
	local wrong
	wrong=$(grep -E '^ +[0-9]+ +[0-9]+ ' "$work/out" | awk -v in_place="$3" 'NF != 13 || $9 != "0" || $13 != in_place')
	if [ $status = 0 ] && [ -z "$wrong" ] && [ "$(grep -cE '^ +[0-9]+ +[0-9]+ ' "$work/out")" = "$2" ] &&
		grep -q '^# Out of bounds values : 0 OK$' "$work/out" &&
		[ "$(grep -hc 'Using network weft' "$work/out")" = 2 ] && grep -q 'via NET/weft/' "$work/out" &&
		! grep -q 'via P2P\|via SHM\|via NET/Socket' "$work/out"; then
		ok "$1"
	else
		bad "$1" "exit $status" "$wrong" "$(grep -v 'NCCL INFO' "$work/out")" "$(tail -n 20 "$work/err")"
	fi
}

run all_reduce_perf --device 0 -d uint32 -b 4 -e 4M -f 32 -n 3 -c 2
good "all_reduce_perf: 2 ranks, 4 B to 4 MiB, verified" 5 0
run sendrecv_perf --device 0 -b 8 -e 1M -f 32 -n 2
good "sendrecv_perf: 2 ranks, verified" 4 N/A
run alltoall_perf --device 0 -d half -b 64 -e 1M -f 32 -n 2
good "alltoall_perf: 2 ranks, verified" 3 N/A
for c in gather scatter hypercube; do
	run ${c}_perf --device 0 -b 64 -e 1M -f 128 -n 2 -r -1
	good "${c}_perf: 2 ranks, every root, verified" "$([ $c = hypercube ] && echo 3 || echo 6)" 0
done
run alltoallv_perf --device 0 -b 64 -e 1M -f 128 -n 2
good "alltoallv_perf: 2 ranks, verified" 3 N/A
run all_reduce_perf -b 8 -e 8
ends "more ranks than GPUs: says what to do, exit 2" 2 'rank 1 needs GPU 1, and this host has 1; --device 0 lets'

# Data that the network corrupts must be detected.
FAULTY_INNER=$build/src/.libs/libnccl-net-weft.so FAULTY_HOW=flip \
	run all_reduce_perf --device 0 --plugin "$build/tests/bench/.libs/faulty_plugin.so" -d uint32 -b 4M -e 4M -n 1
ends "spoilt data is found, exit 7" 7 '^# Out of bounds values : [1-9][0-9]* FAILED$'
tap_done
