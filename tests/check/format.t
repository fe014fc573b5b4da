#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every C file has the layout of .clang-format. Releases of clang-format differ; release 14 is the reference.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
cd "${TEST_SRCDIR:?run by make check}" || exit
name="every C file has the layout of .clang-format"

# The command for clang-format 14.
formatter() {
	local command
	for command in clang-format-14 clang-format; do
		"$command" --version 2>/dev/null | grep -q 'version 14\.' && echo "$command" && return
	done
}

sources() {
	git ls-files -- 'src/*.[ch]' 'include/*.[ch]' 'tests/*.[ch]' 'benchmarks/*.[ch]' 2>/dev/null | grep . ||
		find src include tests benchmarks -name '*.[ch]'
}

# The first complaint about each file.
complaints() { # command
	sources | xargs "$1" --style=file --dry-run -Werror 2>&1 | grep -E '^[^ ]+:[0-9]+:' | sort -t: -u -k1,1 | head -n 40
}

format=$(formatter)
if [ -z "$format" ]; then
	skip "$name" "clang-format 14 is not installed"
	tap_done
fi
none "$name" "$(complaints "$format")"
if "$format" --assume-filename=src/base/log.c --style=file --dry-run -Werror <<<'int  f( void );' 2>/dev/null; then
	bad "a file of another layout is reported"
else
	ok "a file of another layout is reported"
fi
tap_done
