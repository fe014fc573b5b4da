#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# man, groff (without a warning) and mandoc's checker accept the manual pages, and each page has a name and a line for
# whatis. tests/check/documents.t compares the pages with the programs.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
cd "${TEST_SRCDIR:?run by make check}" || exit

# Formats a page with a program, if that is installed.
judged() { # page, what is said, command...
	local page=$1 what=$2 program=$3
	shift 2
	if command -v "$program" >/dev/null; then
		none "$page $what" "$("$@" 2>&1 || echo "exit $?")"
	else
		skip "$page $what" "$program is not installed"
	fi
}

for page in man/*.[1-8]; do
	judged "$page" "is formatted without a warning" groff -man -ww -Kutf8 -Tutf8 -z "$page"
	judged "$page" "is clean to mandoc" mandoc -T lint "$page"
	if ! command -v man >/dev/null; then
		skip "$page is shown by man" "man is not installed"
	elif shown=$(man -E UTF-8 -P cat -l "$page" 2>&1) && grep -q '^NAME' <<<"$shown"; then
		ok "$page is shown by man"
	else
		bad "$page is shown by man" "$shown"
	fi
	if ! command -v lexgrog >/dev/null; then
		skip "$page has a name and a description" "lexgrog is not installed"
	elif shown=$(lexgrog "$page" 2>&1) && grep -q " - " <<<"$shown"; then
		ok "$page has a name and a description"
	else
		bad "$page has a name and a description" "$shown"
	fi
done

# Each installed program has a page with its name.
for program in weft-info weft-top weft-exporter weft-pair weft_net_perf \
	weft_{all_reduce,all_gather,reduce_scatter,alltoall,sendrecv,broadcast,reduce,gather,scatter,alltoallv,hypercube}_perf; do
	none "$program has a page" "$(sed -n '/^\.SH NAME/,/^\.SH SYN/p' man/*.1 | grep -qw -- "$program" || echo none)"
done
tap_done
