#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Message numbers wrap: every channel starts a little before their end, by either protocol.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
for protocol in tagged rma; do
	if out=$(WEFT_TEST_SEQ=4294967270 WEFT_PROTOCOL=$protocol tests/conformance/conformance \
		--plugin src/.libs/libnccl-net-weft.so --jobs 4 --only 'data/*' --only 'close/*' 2>&1); then
		ok "$protocol: data and closing across the wrap"
	else
		bad "$protocol: data and closing across the wrap" "$(grep -A8 '^not ok' <<<"$out")"
	fi
done
tap_done
