#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Links that go down, for a moment or for ever, and NICs that die, under libfabric and under Weft: a short outage is not
# noticed, a long one ends in an error that says what is wrong, and nothing waits for ever.
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

# All ranks end, in error, with Weft's word for the cause; `timeout` has not ended them.
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

# Of what was under way it may be a message that fails, or the word of a receive.
lost='\(failed\|nothing reaches the peer any more\) ('
for generation in 0 1; do
	export SOFTEFA_GENERATION=$generation
	fails "generation $generation: a link goes down for ever" "$lost" SOFTEFA_LINK=0:100 $all_reduce
	fails "generation $generation: ... and comes up too late, with ghosts" "$lost" SOFTEFA_LINK=0:100:400 SOFTEFA_GHOST=100 \
		SOFTEFA_DEAD_MS=50 $all_reduce
	fails "generation $generation: the NICs die" WEFT_NIC_TIMEOUT WEFT_NIC_TIMEOUT=1 SOFTEFA_KILL=0:100 $all_reduce
done

# One of two ranks loses its NIC, while it sends and receives. The other one's NIC may not notice, but its rank does.
if out=$(softefa WEFT_NIC_TIMEOUT=1 MASTER_ADDR=127.0.0.1 MASTER_PORT=$((20000 + RANDOM % 12000)) WORLD_SIZE=2 bash -c "
	RANK=0 $all_reduce & SOFTEFA_KILL=0:100 RANK=1 $all_reduce; one=\$?; wait \$!; zero=\$?
	echo \"# ended with \$zero and \$one\"; [ \$zero -gt 0 ] && [ \$one -gt 0 ]" 2>&1) && grep -q WEFT_NIC_TIMEOUT <<<"$out"; then
	ok "one rank's NIC dies: both end"
else
	bad "one rank's NIC dies: both end" "$out"
fi

# One of a device's four NICs: the others go on, but the messages have a part on each.
softefa_machine p5.48xlarge 0
fails "one of four rails dies" WEFT_NIC_TIMEOUT WEFT_NIC_TIMEOUT=1 SOFTEFA_KILL=2:100 $all_reduce
fails "the link of one of four rails goes down" "$lost" SOFTEFA_LINK=2:100 $all_reduce
tap_done
