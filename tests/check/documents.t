#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Documents that repeat the output of programs are up to date, and differences are detected.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
source=${TEST_SRCDIR:?run by make check} build=${TEST_BUILDDIR:?}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
files="docs/parameters.md man/weft.7 man/weft-info.1 man/weft-top.1 man/weft-exporter.1 man/weft-pair.1 man/weft_net_perf.1 man/weft_all_reduce_perf.1 completions/weft.bash"

# Differences between a source tree and the output of the programs.
stale() { # source tree
	local file
	rm -rf "$tmp/new"
	mkdir "$tmp/new"
	"$source/docs/generate" "$1" "$build" "$tmp/new" 2>&1 || return
	for file in $files; do
		diff -u "$1/$file" "$tmp/new/$file" | grep '^[+-]'
	done
}

none "what programs print is what the documents say (else: make documents)" "$(stale "$source")"

mkdir "$tmp/old"
for file in $files; do
	install -D -m 644 "$source/$file" "$tmp/old/$file"
done
sed -i '/WEFT_RAILS/d' "$tmp/old/docs/parameters.md"
sed -i 's/provider=NAME/provider=NAMES/' "$tmp/old/man/weft-info.1"
sed -i '/--raw-op/d' "$tmp/old/completions/weft.bash"
said=$(stale "$tmp/old")
if [ "$(grep -cE '^\+.*(WEFT_RAILS.: |provider=NAME|--raw-op)' <<<"$said")" = 3 ]; then
	ok "a missing parameter, requirement or option is noticed"
else
	bad "a missing parameter, requirement or option is noticed" "$said"
fi
tap_done
