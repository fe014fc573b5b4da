# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# TAP for the check scripts: source it, call ok or bad for each test, and end with tap_done.

tap_count=0
tap_failed=0

ok() { # description
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

bad() { # description, then one line of diagnosis each
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	shift
	diag "$@"
}

skip() { # description, reason
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

diag() { # text, which may have several lines
	local text line
	for text in "$@"; do
		[ -n "$text" ] || continue
		while IFS= read -r line; do
			echo "# $line"
		done <<<"$text"
	done
}

# Passes if `found`, a list of complaints, is empty.
none() { # description, found
	if [ -z "$2" ]; then ok "$1"; else bad "$1" "$2"; fi
}

# Makes all later programs in the build directory use the fault provider.
use_fault_provider() {
	export FI_PROVIDER_PATH=$PWD/tests/fault/.libs WEFT_PROVIDER=fault WEFT_NICS='fault*'
}

tap_done() {
	echo "1..$tap_count"
	exit $((tap_failed != 0))
}
