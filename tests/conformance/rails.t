#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Devices with several rails, by either protocol: the cases in which data move, and all ways to end.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
for protocol in tagged rma; do
	if out=$(WEFT_TEST_RAILS=4 WEFT_PROTOCOL=$protocol tests/conformance/conformance \
		--plugin src/.libs/libnccl-net-weft.so --jobs 4 --provider-only 2>&1); then
		ok "$protocol: four rails"
	else
		bad "$protocol: four rails" "$(grep -A8 '^not ok' <<<"$out")"
	fi
done
tap_done
