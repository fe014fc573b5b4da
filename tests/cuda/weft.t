#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Weft and GPU memory, on the fake CUDA driver (README.md beside this file) and the fault provider: weft-info's report
# of each attribute, and the conformance suite with buffers that the CPU may not touch. Data written by a NIC is visible
# only after a flush, so each kind of flush, and its absence, is tested by the data that arrive.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
plugin=src/.libs/libnccl-net-weft.so
plain=${LD_LIBRARY_PATH-}
fake=$PWD/tests/cuda/.libs

if [ -n "${TEST_SANITIZER:-}" ]; then
	skip "memory of GPUs" "tests/unit/accel is what runs with a sanitizer"
	tap_done
fi

# ---- without anything

says() { # what, command, then words that must all be said; a word after ! must not be
	local what=$1 command=$2 word wrong=''
	shift 2
	bash -c "$command" >"$tmp/out" 2>&1
	for word; do
		case $word in
		!*) ! grep -qF -- "${word#!}" "$tmp/out" || wrong+="said: ${word#!}; " ;;
		*) grep -qF -- "$word" "$tmp/out" || wrong+="not said: $word; " ;;
		esac
	done
	if [ -z "$wrong" ]; then ok "$what"; else bad "$what" "$wrong" "$(head -60 "$tmp/out")"; fi
}

if ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then
	skip "weft-info without a driver" "this machine has one"
else
	says "weft-info without a driver" src/weft-info 'CUDA: not available: libcuda.so.1 not found' \
		'host memory only: libcuda.so.1 not found' '!GPUDirect RDMA) by pointer: yes'
	says "JSON without a driver" 'src/weft-info --json' '"why_not": "libcuda.so.1 not found"' \
		'"gpudirect": false' '"cuda": false'
fi
export LD_LIBRARY_PATH=$fake${plain:+:$plain}
says "a provider without memory of GPUs" src/weft-info 'host memory only: provider' 'offers no FI_HMEM here'

# ---- weft-info's report of each attribute

use_fault_provider
export FAULT_HMEM=1 WEFT_PROTOCOL=rma
dmabuf_here=$(src/weft-info --json | grep -c '"dmabuf_why_not": ""')
yes='GPU memory (GPUDirect RDMA) by pointer: yes'
says "all is there" src/weft-info "$yes" 'flush of what GPUs receive: read, as the GPU may see writes late' \
	'CUDA: driver for CUDA 12.4' 'GPU 0  0000:17:00.0  compute capability 8.0; GPUDirect RDMA: yes; dma-buf: yes'
says "--require gdr is met" 'src/weft-info --require gdr && echo ended well' 'met: gdr' 'ended well'
says "a GPU without GPUDirect" 'FAKE_CUDA_GDR=0 src/weft-info; FAKE_CUDA_GDR=0 src/weft-info --require gdr || echo refused' \
	"!$yes" "host memory only: GPU 0000:17:00.0 can't" refused 'unmet: gdr'
says "a GPU without dma-buf" 'FAKE_CUDA_DMABUF=0 src/weft-info' "$yes" 'by dma-buf: no: '
says "WEFT_GDR=off" 'WEFT_GDR=off src/weft-info' "!$yes" 'host memory only: WEFT_GDR=off'
says "a GPU that sees writes in order" 'FAKE_CUDA_ORDER=1 FAKE_CUDA_CAPABILITY=90 src/weft-info' \
	'flush of what GPUs receive: none, as the driver says that the GPU sees writes in their order'
says "an older one, which NCCL flushes anyway" 'FAKE_CUDA_ORDER=1 src/weft-info' 'GPUs receive: read, as'
says "one that shares page tables with the CPU" \
	'FAKE_CUDA_ORDER=1 FAKE_CUDA_CAPABILITY=90 FAKE_CUDA_COHERENT=1 src/weft-info' 'GPUs receive: read, as'
says "WEFT_FLUSH=call" 'WEFT_FLUSH=call src/weft-info' "$yes" 'GPUs receive: call, as WEFT_FLUSH=call'
says "no call to flush" 'FAKE_CUDA_FLUSH=0 WEFT_FLUSH=call src/weft-info' "!$yes" 'host memory only: there is no way to flush'
says "a driver too old for anything" 'FAKE_CUDA_DRIVER=11020 src/weft-info' "!$yes" 'older than CUDA 11.3'
# A device serves the GPUs nearest to it; limits of other GPUs do not matter.
says "two GPUs, one of them far" 'FAKE_CUDA_GPUS=2 src/weft-info --json' '"number": 1' '"pci": "0000:27:00.0"'

# ---- data

run() { # memory, cases in one word, options...
	local memory=$1 pattern cases=() list
	read -ra list <<<"$2"
	shift 2
	for pattern in "${list[@]}"; do cases+=(--only "$pattern"); done
	tests/conformance/conformance --plugin $plugin --memory "$memory" --jobs 4 --timeout 60 "${cases[@]}" "$@" \
		>"$tmp/out" 2>&1
}

moves() { # what, memory, cases, options...
	local what=$1
	shift
	if run "$@"; then ok "$what"; else bad "$what" "$(grep -A8 '^not ok' "$tmp/out")"; fi
}

# The suite must detect a missing flush: this run must fail, because of its bytes.
corrupts() { # what, memory, cases, options...
	local what=$1
	shift
	if ! run "$@" && grep -q 'bytes are wrong' "$tmp/out"; then
		ok "$what"
	else
		bad "$what" "$(head -30 "$tmp/out")"
	fi
}

counted() { # what the driver counted, at least once in all: flushes, reads, exports
	none "the fake driver counted $1" "$(awk -v k="$1=" '{ for (i = 1; i <= NF; i++) if (index($i, k) == 1) n += substr($i, length(k) + 1) }
		END { if (!n) print "none" }' "$tmp/log" 2>&1)"
	rm -f "$tmp/log"
}

export FAKE_CUDA_DELAY=1 FAKE_CUDA_LOG=$tmp/log
few='data/grouped data/tags memory/parts'
moves "remote writes, flushed by reads" cuda "$few data/unaligned memory/same-address-again memory/many-registrations
	memory/flush thread/register-during-traffic close/dereg-* close/close-with-receives error/too-large"
counted reads
WEFT_PROTOCOL=tagged moves "tagged messages" cuda "$few"
# One side has GPU memory, the other host memory. A small message from the host without a receive must wait for one,
# because the CPU cannot copy it into GPU memory.
mixed="$few data/small-sizes data/ping-pong data/random timing/* memory/flush"
moves "A has a GPU's memory, B the host's" cuda-a "$mixed"
moves "B has a GPU's memory, A the host's" cuda-b "$mixed"
WEFT_FLUSH=call moves "flushed by calls" cuda "$few"
counted flushes
WEFT_FLUSH=call FAKE_CUDA_CAPTURING=1 moves "... while streams are captured" cuda data/grouped
FAKE_CUDA_CONTEXT=0 WEFT_FLUSH=call moves "memory without a context: by reads after all" cuda data/grouped
counted reads
export FAULT_NICS=-@10000,-@10000,-@10000 WEFT_TEST_RAILS=3
moves "three rails" cuda "$few data/larger-receives"
FAKE_CUDA_DELAY=0 moves "three rails, a region of 5 GiB" cuda memory/beyond-4-gib
FAULT_EAGAIN=10 FAULT_REORDER=8 FAULT_SEED=3 moves "three rails, posts refused and completions in disorder" cuda "$few"
unset FAULT_NICS WEFT_TEST_RAILS
FAKE_CUDA_DELAY=0 FAKE_CUDA_ORDER=1 FAKE_CUDA_CAPABILITY=90 moves "no flush where the GPU sees writes in order" cuda data/grouped

# From Hopper on, NCCL flushes only if the plugin requests it, which version 8 does not support.
export FAKE_CUDA_CAPABILITY=90
for abi in 8 9 11 12; do
	moves "Hopper, version $abi of the interface" cuda 'data/grouped memory/parts' --abi $abi
done
WEFT_FLUSH=call moves "Hopper, version 8, by calls" cuda 'data/grouped memory/parts' --abi 8
WEFT_FLUSH=none corrupts "Hopper, version 8: without its flush, data are wrong" cuda memory/parts --abi 8
WEFT_FLUSH=none corrupts "Hopper, version 12: without a flush, data are wrong" cuda memory/parts
unset FAKE_CUDA_CAPABILITY
WEFT_FLUSH=none corrupts "without a flush, data are wrong" cuda memory/parts
rm -f "$tmp/log"

# ---- dma-buf

if [ "$dmabuf_here" -gt 0 ]; then
	moves "dma-buf" dmabuf "$few"
	FAKE_CUDA_DELAY=0 moves "dma-buf, a region of 5 GiB" dmabuf memory/beyond-4-gib
else
	run dmabuf memory/parts
	if grep -q "regMrDmaBuf of a GPU's memory returned" "$tmp/out" &&
		grep -q 'knows no dma-buf; NCCL_DMABUF_ENABLE=0 does without' "$tmp/out"; then
		ok "dma-buf is refused in plain words"
	else
		bad "dma-buf is refused in plain words" "$(head -30 "$tmp/out")"
	fi
fi

# ---- calls that fail: a case may fail, but neither crashes nor hangs

fails() { # variable with the number of the call, numbers, more assignments
	local numbers=$2 n wrong=''
	for n in $numbers; do
		env "$1=$n" "${@:3}" tests/conformance/conformance --plugin $plugin --memory cuda --only memory/flush \
			>"$tmp/out" 2>&1
		# The suite's watchdog ends a process that waits for a failed one.
		if grep -qiE 'signal|segmentation|core dumped' "$tmp/out" ||
			{ grep -q watchdog "$tmp/out" && ! grep -q ': failed: ' "$tmp/out"; }; then
			wrong+="call $n: $(head -30 "$tmp/out")"
		fi
	done
	none "$1: $numbers, ${*:3}" "$wrong"
}

fails FAKE_CUDA_FAIL_NTH '1 3 14 15 16'
fails FAKE_CUDA_FAIL_NTH '1 3' FAKE_CUDA_FAIL_CALL=cuFlushGPUDirectRDMAWrites WEFT_FLUSH=call
fails FAULT_FAIL_NTH '1 3 4 5' FAULT_FAIL_CALL=mr_reg
fails FAULT_FAIL_NTH '1 2' FAULT_FAIL_CALL=read
tap_done
