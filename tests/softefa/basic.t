#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# libfabric's own efa provider on the software EFA device, between two processes: messages and tagged messages with all
# protocols, in order and out of order, with receivers that are not ready, late packets and a killed peer.
# shellcheck disable=SC2086 # several options in one variable
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
# shellcheck source=tests/softefa/softefa.bash
. "$here/softefa.bash"
softefa_need
# ---- the device answers every call of libfabric to libibverbs and libefa, because a real library would mistake the
# device's objects for its own

exported=$(nm -D --defined-only "$softefa_so" | awk '{ print $3 }')
# The calls of libfabric and the providers that it loads. ibv_wc_status_str only returns a text.
called=$(softefa_libfabric | xargs nm -D --undefined-only | awk '{ print $2 }' | sed 's/@.*//' |
	grep -E '^_?(ibv|efadv)_' | grep -v '^ibv_wc_status_str$' | sort -u)
if [ -z "$called" ]; then
	bad "libfabric's calls are found" "nm names none in $(softefa_libfabric)"
else
	none "the device answers all $(wc -l <<<"$called") calls of libfabric" "$(grep -vxF "$exported" <<<"$called")"
fi

# libfabric's fabric with a protocol of its own on top of the device; newer releases have another fabric, too.
pingpong="tests/softefa/pingpong --fabric efa"
# Sizes: one packet; several packets; read by the receiver.
sizes="--bytes 0 --bytes 1 --bytes 4000 --bytes 40000 --bytes 300000 --bytes 3000000"

# Arguments: assignments, then pingpong's options. Passes if the exit status is 0 and the device reported no error.
passes() { # description, assignments and command
	local name=$1 out
	shift
	if out=$(softefa "$@" 2>&1) && [ ! -s "$SOFTEFA_LOG" ]; then
		ok "$name"
	else
		bad "$name" "$out" "$(head -5 "$SOFTEFA_LOG")"
	fi
}

counter() { # name: its sum over both processes
	cat "$softefa_tmp"/sys/*/class/infiniband/*/ports/1/hw_counters/"$1" | awk '{ n += $1 } END { print n + 0 }'
}

for generation in 0 1 2 3; do
	for kind in "" --tagged --write; do
		passes "generation $generation: ${kind:---msg}" \
			SOFTEFA_GENERATION=$generation $pingpong $kind --count 5 $sizes
	done
done

for seed in 1 2 3; do
	passes "seed $seed: disorder, receivers that are not ready, late packets" \
		SOFTEFA_SEED=$seed SOFTEFA_REORDER=64 SOFTEFA_RNR=20 SOFTEFA_LOSS=10 \
		$pingpong --tagged --count 5 $sizes
done
passes "everything in order" SOFTEFA_REORDER=1 $pingpong --count 50 --bytes 100000

# From libfabric 2.1 on: the fabric without a protocol of its own, and native writes.
if softefa tests/softefa/pingpong --fabric efa-direct --count 1 2>&1 | grep -q efa-direct:; then
	passes "efa-direct" SOFTEFA_GENERATION=1 SOFTEFA_LOSS=5 \
		tests/softefa/pingpong --fabric efa-direct --bytes 64 --bytes 8000
	# A program with API 1.17, like this one, gets native writes on efa only on request.
	for fabric in efa efa-direct; do
		passes "$fabric: writes by the device" FI_EFA_USE_DEVICE_RDMA=1 \
			SOFTEFA_SYSFS="$softefa_tmp/sys" SOFTEFA_GENERATION=1 \
			SOFTEFA_DUPLICATE=10 SOFTEFA_LOSS=5 tests/softefa/pingpong --fabric $fabric --write --count 5 $sizes
		if [ "$(counter rdma_write_wrs)" -ge 50 ]; then
			ok "$fabric: they are counted"
		else
			bad "$fabric: they are counted" "$(counter rdma_write_wrs)"
		fi
		rm -rf "$softefa_tmp/sys"
	done
fi

none "nothing is left behind" "$(ls "$SOFTEFA_DIR")"

for bytes in 64 1000000; do
	if out=$(softefa SOFTEFA_DEAD_MS=50 $pingpong --kill 5 --bytes $bytes 2>&1) &&
		grep -qE "provider's (13|4124|4126)$" <<<"$out" && grep -q "no longer answers" "$SOFTEFA_LOG"; then
		ok "a killed peer: $bytes bytes"
	else
		bad "a killed peer: $bytes bytes" "$out" "$(head -5 "$SOFTEFA_LOG")"
	fi
done
# The next processes remove the remains of killed ones.
passes "after killed processes" $pingpong
none "nothing is left behind by killed processes" "$(ls "$SOFTEFA_DIR")"

# The faults occur, and only on request.
counts() { # assignments and command -> overtaken, not ready, late
	rm -rf "$softefa_tmp/sys"
	softefa SOFTEFA_SYSFS="$softefa_tmp/sys" "$@" >/dev/null 2>&1
	echo "$(counter softefa_overtaken) $(counter softefa_not_ready) $(counter retrans_pkts)"
}
got=$(counts SOFTEFA_REORDER=1 $pingpong --count 10 --bytes 100000)
# Without the fault, a receiver may not be ready either.
none "no fault unless asked for" "$([[ $got == "0 "*" 0" ]] || echo "$got")"
read -r overtaken not_ready late < <(counts SOFTEFA_RNR=20 SOFTEFA_LOSS=10 $pingpong --count 10 --bytes 100000)
if [ "$overtaken" -gt 10 ] && [ "$not_ready" -gt 10 ] && [ "$late" -gt 10 ]; then
	ok "disorder, receivers not ready and late packets are counted"
else
	bad "disorder, receivers not ready and late packets are counted" "$overtaken $not_ready $late"
fi

# Counters: after a program has sent n messages, the files contain their numbers.
if softefa SOFTEFA_RNR=30 SOFTEFA_SYSFS="$softefa_tmp/sys" $pingpong --count 40 --bytes 2000 >/dev/null 2>&1 &&
	[ "$(counter send_wrs)" -ge 40 ] && [ "$(counter recv_bytes)" -ge 80000 ] &&
	[ "$(counter tx_bytes)" -gt "$(counter send_bytes)" ]; then
	ok "the counters' files"
else
	bad "the counters' files" "$(grep . "$softefa_tmp"/sys/*/class/infiniband/*/ports/1/hw_counters/*)"
fi
tap_done
