#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every version of NCCL's net interface that the plugin exports, as each release of NCCL uses it: the selected version,
# and the conformance suite on each. providers.t runs the whole suite on the newest version; here the older versions run
# the cases that an adapter may affect. make abis, or ABI_CASES="PATTERN...", runs other cases on all versions.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
suite=tests/conformance/conformance
plugin=$PWD/src/.libs/libnccl-net-weft.so
older=$PWD/tests/conformance/.libs/broken.so # has version 8 only
export BROKEN_PLUGIN_INNER=$plugin BROKEN_PLUGIN_FAULT=none
read -rd "" -a groups <<<"${ABI_CASES:-table/* abi/* profile/* error/* life/* memory/flush
	conn/accept-first conn/both-ways conn/close-nothing conn/connect-first conn/done-is-done conn/each-device
	conn/never-accepted conn/random-order conn/self conn/without-device-handle
	data/deeper-than-promised data/grouped data/larger-receives data/medium-sizes data/promised-depth
	data/small-sizes data/tags data/test-without-sizes data/unaligned data/zero-bytes
	close/close-with-receives close/dereg-with-receives close/each-order close/sends-outstanding}"

# Converts the lines of another TAP program into lines of this one.
adopt() { # prefix; TAP on stdin
	local prefix=$1 line seen=0
	while IFS= read -r line; do
		case $line in
		ok*) ok "$prefix: ${line#* - }" ;;
		"not ok"*) bad "$prefix: ${line#* - }" ;;
		"#"*) echo "$line" ;;
		*) continue ;;
		esac
		seen=1
	done
	[ $seen = 1 ] || bad "$prefix: ran"
}

adopt "Weft" < <(tests/nccl/pick "$plugin" 12 2>&1)
adopt "a plugin of version 8" < <(tests/nccl/pick "$older" 8 2>&1)

# A requested version is used, or its absence is reported.
out=$($suite --plugin "$older" --abi 9 --only table/entries 2>&1)
if [ $? = 1 ] && grep -q 'no symbol ncclNetPlugin_v9' <<<"$out"; then
	ok "a version that the plugin lacks is named"
else
	bad "a version that the plugin lacks is named" "$out"
fi
for wrong in 7 13 newest; do
	out=$($suite --abi "$wrong" --list 2>&1)
	if [ $? = 2 ] && grep -q -- '--abi takes a number from 8 to 12' <<<"$out"; then
		ok "--abi $wrong is refused"
	else
		bad "--abi $wrong is refused" "$out"
	fi
done
for abi in 8 9 10 11 12; do
	out=$(benchmarks/weft_net_perf --abi $abi --min 8 --max 64 --iters 20 --reps 1 --pattern latency --pin off 2>&1)
	if grep -q "plugin weft v$abi " <<<"$out"; then
		ok "weft_net_perf --abi $abi measures v$abi"
	else
		bad "weft_net_perf --abi $abi measures v$abi" "$out"
	fi
done
for abi in "" 8 10; do
	out=$(benchmarks/all_reduce_perf ${abi:+--abi $abi} --ranks 2 -b 1K -e 1K -n 2 -w 1 2>&1)
	if grep -q "interface v${abi:-12}\$" <<<"$out" && grep -q 'Out of bounds values : 0 OK' <<<"$out"; then
		ok "all_reduce_perf ${abi:+--abi $abi }speaks v${abi:-12}"
	else
		bad "all_reduce_perf ${abi:+--abi $abi }speaks v${abi:-12}" "$out"
	fi
done

only=()
for group in "${groups[@]}"; do
	only+=(--only "$group")
done
for abi in 8 9 10 11 ${ABI_CASES:+12}; do
	if out=$(WEFT_PROVIDER=tcp $suite --plugin "$plugin" --abi "$abi" --jobs 4 "${only[@]}" 2>&1); then
		ok "v$abi: $(grep -c '^ok' <<<"$out") cases of the suite"
	else
		bad "v$abi: the suite" "$(grep -A40 '^not ok' <<<"$out")" "$(tail -1 <<<"$out")"
	fi
done
tap_done
