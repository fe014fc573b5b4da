#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every program has a help: --help prints exactly its options on stdout with exit status 0; an unknown option is named
# on stderr with exit status 2.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
src=${TEST_SRCDIR:?}

# Each program, and the files with its table of options.
programs=(
	"src/weft-info $src/src/info/*.c"
	"src/weft-exporter $src/src/observe/weft-exporter.c"
	"src/weft-top $src/src/observe/weft-top.c"
	"benchmarks/all_reduce_perf $src/benchmarks/all_reduce/*.c"
	"benchmarks/broadcast_perf $src/benchmarks/all_reduce/*.c"
	"benchmarks/weft_net_perf $src/benchmarks/net_perf/*.c"
	"benchmarks/weft-pair $src/benchmarks/matrix/*.c"
)

# --names in the program's tables: rows {'b', "minbytes", ...} and {"name", required_argument, ...}.
accepted() { # source files
	tr '\n\t' '  ' < <(cat "$@") |
		grep -oE "\{ *('.'|0), *\"[a-z][a-z0-9_-]*\"|\{ *\"[a-z][a-z0-9_-]*\", *(no|required|optional)_argument" |
		sed 's/^[^"]*"\([^"]*\)".*/--\1/' | sort -u
}

# --names at the beginning of the help's option lines.
documented() { # help text
	grep -oE '^ +(-[a-zA-Z], )?--[a-z][a-z0-9_-]*' <<<"$1" | grep -oE -- '--[a-z0-9_-]+' | sort -u
}

# Documented options that the program rejects as unknown. A following --help ends the run of accepted ones.
refused() { # program, help text
	local option said
	for option in $(documented "$2"); do
		said=$("$1" "$option" 1 --help 2>&1 >/dev/null </dev/null)
		! grep -qiE 'unknown|unrecognized' <<<"$said" || echo "$option: $said"
	done
}

for row in "${programs[@]}"; do
	read -r program sources <<<"$row"
	stderr=$(mktemp)
	help=$("./$program" --help 2>"$stderr" </dev/null)
	status=$?
	if [ $status = 0 ] && [ -n "$help" ] && [ ! -s "$stderr" ]; then
		ok "$program --help explains on stdout only, exit 0"
	else
		bad "$program --help explains on stdout only, exit 0" "exit $status" "$help" "$(cat "$stderr")"
	fi
	rm -f "$stderr"

	# The globs in the table must expand to files here.
	# shellcheck disable=SC2086
	options=$(accepted $sources; echo --help)
	if [ "$(wc -l <<<"$options")" -gt 1 ]; then
		none "$program --help shows every option of its table" \
			"$(comm -23 <(sort -u <<<"$options") <(documented "$help"))"
	else
		bad "$program --help shows every option of its table" "no table of options found in $sources"
	fi
	none "$program takes every option that --help shows" "$(refused "./$program" "$help")"

	for wrong in --no-such-option stray-argument; do
		out=$("./$program" $wrong 2>/dev/null </dev/null)
		said=$("./$program" $wrong 2>&1 >/dev/null </dev/null)
		status=$?
		if [ $status = 2 ] && [ -z "$out" ] && grep -q -- "${wrong#--}" <<<"$said"; then
			ok "$program names $wrong on stderr, exit 2"
		else
			bad "$program names $wrong on stderr, exit 2" "exit $status" "$said"
		fi
	done
done
tap_done
