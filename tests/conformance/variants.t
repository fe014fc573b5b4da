#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The suite under unusual conditions, with either protocol: devices with several rails (the cases that depend on the
# provider), message numbers that wrap because every comm starts shortly before the last one, and providers that support
# remote writes but do not use them by default.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit

suite() { # description, NAME=VALUE, options of the suite...
	local what=$1 setting=$2 protocol out
	shift 2
	if ! out=$(env "$setting" src/weft-info 2>&1 >/dev/null) && [[ $out == *"offers no such provider"* ]]; then
		skip "$what" "$out"
		return
	fi
	for protocol in tagged rma; do
		if out=$(env "$setting" WEFT_PROTOCOL=$protocol tests/conformance/conformance \
			--plugin src/.libs/libnccl-net-weft.so --jobs 4 "$@" 2>&1); then
			ok "$protocol: $what"
		else
			bad "$protocol: $what" "$(grep -A40 '^not ok' <<<"$out")"
		fi
	done
}

suite "four rails" WEFT_TEST_RAILS=4 --provider-only
suite "data and closing across the wrap" WEFT_TEST_SEQ=4294967270 --only 'data/*' --only 'close/*'
suite "shm" WEFT_PROVIDER=shm --only 'conn/*' --only 'data/*' --only 'memory/*'
suite "sockets" WEFT_PROVIDER=sockets --only 'conn/*' --only 'data/*' --only 'memory/*'
tap_done
