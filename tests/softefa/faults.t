#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Links that go down, for a moment or permanently, and NICs that die, under libfabric and under Weft: short outages are
# ridden out, long ones end in an error that names the cause, and no process waits forever.
# shellcheck disable=SC2086 # several options in one variable
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
# shellcheck source=tests/softefa/softefa.bash
. "$here/softefa.bash"
softefa_need
export WEFT_PROVIDER=efa WEFT_NICS='rdma*'
suite="tests/conformance/conformance --plugin src/.libs/libnccl-net-weft.so --jobs 2"
all_reduce="benchmarks/all_reduce_perf -b 64K -e 1M -f 16 -n 20 -w 1"
brief="SOFTEFA_LINK=0:40:50 SOFTEFA_DEAD_MS=20000"

passes() { # description, assignments and command
	local what=$1 out
	shift
	if ! out=$(softefa "$@" 2>&1); then
		bad "$what" "$out" "$(head -5 "$SOFTEFA_LOG")"
	elif ! grep -q 'goes down for' "$SOFTEFA_LOG"; then
		bad "$what" "the link did not go down"
	else
		ok "$what"
	fi
}

# Passes if all ranks end with an error and Weft's message of the cause, before `timeout` ends them.
fails() { # description, what is said, assignments and command
	local what=$1 words=$2 out rc
	shift 2
	out=$(softefa "$@" 2>&1)
	rc=$?
	if [ $rc -gt 0 ] && [ $rc -lt 124 ] && grep -q "WARN NET/weft: .*$words" <<<"$out"; then
		ok "$what"
	else
		bad "$what" "exit status $rc" "$out" "$(head -5 "$SOFTEFA_LOG")"
	fi
}

for kind in "" --tagged --write; do
	passes "a short outage: ${kind:---msg}" $brief tests/softefa/pingpong --fabric efa $kind --count 40 --bytes 100000
done
passes "a short outage, Weft by tagged messages" $brief SOFTEFA_GENERATION=0 $suite --only 'data/[!l]*' --only memory/parts
passes "a short outage, Weft by writes" $brief SOFTEFA_GENERATION=1 WEFT_PROTOCOL=rma FI_EFA_USE_DEVICE_RDMA=1 \
	$suite --only 'data/[!l]*' --only memory/parts

# Either a message in flight or a clear-to-send may fail.
lost='\(failed\|messages to the peer are lost\|could not be delivered\) ('
for generation in 0 1; do
	export SOFTEFA_GENERATION=$generation
	fails "generation $generation: a link goes down for ever" "$lost" SOFTEFA_LINK=0:100 $all_reduce
	fails "generation $generation: ... and comes up too late, with ghosts" "$lost" SOFTEFA_LINK=0:100:400 SOFTEFA_GHOST=100 \
		SOFTEFA_DEAD_MS=50 $all_reduce
	fails "generation $generation: the NICs die" WEFT_NIC_TIMEOUT WEFT_NIC_TIMEOUT=1 SOFTEFA_KILL=0:100 $all_reduce
done

# One of two ranks loses its NIC while it sends and receives. The other rank detects this even if its NIC does not.
if out=$(softefa WEFT_NIC_TIMEOUT=1 MASTER_ADDR=127.0.0.1 MASTER_PORT=$((20000 + RANDOM % 12000)) WORLD_SIZE=2 bash -c "
	RANK=0 $all_reduce & SOFTEFA_KILL=0:100 RANK=1 $all_reduce; one=\$?; wait \$!; zero=\$?
	echo \"# ended with \$zero and \$one\"; [ \$zero -gt 0 ] && [ \$one -gt 0 ]" 2>&1) && grep -q WEFT_NIC_TIMEOUT <<<"$out"; then
	ok "one rank's NIC dies: both end"
else
	bad "one rank's NIC dies: both end" "$out"
fi

# One of a device's four NICs dies: the others still work, but each message has a stripe on every NIC.
softefa_machine p5.48xlarge 0
fails "one of four rails dies" WEFT_NIC_TIMEOUT WEFT_NIC_TIMEOUT=1 SOFTEFA_KILL=2:100 $all_reduce
fails "the link of one of four rails goes down" "$lost" SOFTEFA_LINK=2:100 $all_reduce
tap_done
