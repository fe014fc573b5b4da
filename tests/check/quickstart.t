#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command line of ./quickstart, and all shell scripts under shellcheck.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
cd "${TEST_SRCDIR:?run by make check}" || exit

if out=$(./quickstart --help 2>/dev/null) && grep -q "quickstart check" <<<"$out"; then
	ok "--help explains on stdout and exits 0"
else
	bad "--help explains on stdout and exits 0" "$out"
fi

out=$(./quickstart nonsense 2>&1 >/dev/null)
status=$?
if [ $status = 2 ] && grep -q nonsense <<<"$out"; then
	ok "an unknown argument is named on stderr, exit 2"
else
	bad "an unknown argument is named on stderr, exit 2" "exit $status" "$out"
fi

for script in quickstart autogen.sh .ci/run tests/check/tap.bash tests/check/*.t; do
	if command -v shellcheck >/dev/null; then
		none "shellcheck $script" "$(shellcheck -x "$script" 2>&1)"
	else
		skip "shellcheck $script" "shellcheck is not installed"
	fi
done
tap_done
