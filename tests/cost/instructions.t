#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The plugin's own instructions for a message do not grow: benchmarks/instructions.sh counts them, so load and speed of
# the machine do not matter. The limits are those of gcc's -O2 with link-time optimisation on x86-64, plus a few
# instructions for another release of the compiler. A change that needs more raises a limit here and says why.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit

# Why counts say nothing in this build, or nothing.
why_not() {
	command -v valgrind >/dev/null || echo "no valgrind"
	[ "$(uname -m)" = x86_64 ] || echo "not x86-64"
	[ -z "${TEST_SANITIZER-}" ] || echo "built with a sanitizer"
	grep -q '^CFLAGS = .*-O2' Makefile || echo "built without -O2"
	grep -q '^LTO_CFLAGS = .*-flto' Makefile || echo "built without link-time optimisation"
	"${TEST_CC:-cc}" --version 2>/dev/null | grep -q 'Free Software' || echo "the compiler is not gcc"
}

# bytes, settings, then limits of irecv and isend
check() {
	local bytes=$1 out end most n
	declare -A limits=([irecv]=$3 [isend]=$4)
	out=$(env ${2:+"$2"} "$here/../../benchmarks/instructions.sh" "$bytes" 2>&1)
	for end in irecv isend; do
		most=${limits[$end]}
		n=$(sed -n "s/^$end //p" <<<"$out")
		if [ -n "$n" ] && [ "$n" -gt 0 ] && [ "$n" -le "$most" ]; then
			ok "$end of $bytes bytes${2:+, $2}: at most $most instructions ($n)"
		else
			bad "$end of $bytes bytes${2:+, $2}: at most $most instructions" "$out"
		fi
	done
}

why=$(why_not | head -n 1)
if [ -n "$why" ]; then
	skip "instructions for each message" "$why"
	tap_done
fi
# The loopback has one stream.
export WEFT_PROVIDER=tcp WEFT_NICS=lo
# The record of the process (WEFT_STATS) has 10 to 20 of these, and 100 of a message that is timed.
check 64 "" 360 235
check 65536 "" 900 660
check 64 WEFT_PROTOCOL=tagged 660 690
tap_done
