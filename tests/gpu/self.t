#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The parts of tests/gpu/run that need no GPU: its options, its archive, and its ranks over PyTorch's gloo.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
build=${TEST_BUILDDIR:?run by make check}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { # arguments: leaves $status and $said
	said=$("$here/run" --build "$build" "$@" 2>&1)
	status=$?
}

run --list
none "--list: nine checks" "$([ "$(wc -l <<<"$said")" = 9 ] || echo "$said")"
run --steps many
none "a bad value: exit 2, and which" "$([ $status = 2 ] && [[ $said == *'--steps many'* ]] || echo "$status $said")"
run --python "$work/no-python"
none "no Python: skipped, with the reason" "$([ $status = 0 ] && [[ $said == '1..0 # SKIP no '* ]] || echo "$status $said")"

# The packed plugin finds all libraries beside it, except for the machine's C library.
if [ -n "${TEST_SANITIZER-}" ]; then
	skip "what is packed is enough" "sanitizers' libraries are not packed"
else
	run --pack "$work/pack"
	elsewhere=$(LD_LIBRARY_PATH=$work/pack ldd "$work/pack/libnccl-net-weft.so" "$work/pack/weft-info" \
		"$work/pack/all_reduce_perf" |
		awk -v at="$work/pack/" '$2 == "=>" && index($3, at) != 1 && $1 !~ /^(libc|libm|libdl|librt|libpthread)\.so/')
	none "what is packed is enough" "$([ $status = 0 ] || echo "$said")$elsewhere"
	said=$(cd "$work/pack" && tests/gpu/run --build . --list)
	none "what is packed runs" "$([ "$(wc -l <<<"$said")" = 9 ] || echo "$said")"
fi

if ! python3 -c 'import torch.distributed as d; assert d.is_gloo_available()' 2>"$work/no-torch"; then
	skip "the ranks, over gloo" "$(tail -n 1 "$work/no-torch")"
	tap_done
fi
ranks() { # arguments: leaves both statuses in rc
	local r pids=() port=$((20000 + RANDOM % 12000))
	rc=()
	for r in 0 1; do
		RANK=$r WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port GLOO_SOCKET_IFNAME=lo OMP_NUM_THREADS=1 \
			timeout 200 python3 "$here/ranks.py" "$@" --device cpu >"$work/out.$r" 2>&1 &
		pids+=($!)
	done
	for r in 0 1; do
		wait "${pids[r]}"
		rc+=($?)
	done
}
for what in collectives "train --steps 60" "perf --iters 3"; do
	# shellcheck disable=SC2086 # words
	ranks $what
	none "the ranks, over gloo: $what" "$([ "${rc[*]}" = "0 0" ] || { echo "${rc[*]}"; tail -n 5 "$work"/out.?; })"
done
ranks kill
none "the ranks, over gloo: kill" "$([ "${rc[*]}" = "1 137" ] || { echo "${rc[*]}"; tail -n 5 "$work"/out.?; })"
tap_done
