#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every benchmark program reports its version and the name under which it was started. Its help has help2man's format,
# and --list-options lists the same options for scripts.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}/benchmarks" || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Options in the help: "-b, --minbytes=SIZE", as "-b --minbytes SIZE".
of_help() { # program
	"$1" --help | sed -nE 's/^  (-(.), |    )--([a-z_-]+)(=([^ ]+))?( .*)?$/-\2 --\3 \5/p' | sed 's/ $/ -/'
}

# The same from the list, which must have a text in each line.
of_list() { # program
	"$1" --list-options | awk -F '\t' 'NF == 4 && $4 != "" { print $1, $2, $3 }'
}

for program in all_reduce_perf all_gather_perf reduce_scatter_perf alltoall_perf sendrecv_perf broadcast_perf \
	reduce_perf gather_perf scatter_perf alltoallv_perf hypercube_perf weft_net_perf weft-pair weft_self_perf \
	weft_bench_table; do
	ln -s "$PWD/$program" "$work/other_$program"
	said=$("$work/other_$program" --version 2>&1)
	status=$?
	if [ $status = 0 ] && [[ $said =~ ^other_$program\ \(Weft\)\ [0-9]+\.[0-9]+ ]] && [ "$(wc -l <<<"$said")" = 1 ]; then
		ok "$program --version"
	else
		bad "$program --version" "exit $status" "$said"
	fi
	said=$("$work/other_$program" --nonsense 2>&1)
	status=$?
	if [ $status = 2 ] && [[ $said == "other_$program: "* ]]; then
		ok "$program uses the name that it was started under"
	else
		bad "$program uses the name that it was started under" "exit $status" "$said"
	fi
	# help2man needs a usage line, an empty line, and options with two blanks before their text.
	said=$("./$program" --help | awk -v name="$program" '
		NR == 1 && index($0, "Usage: " name " ") != 1 { print "line 1: " $0 }
		/^Options:$/ { options = 1; if (before != "") print "no empty line before the options" }
		/^ +-/ && index($0, "-") <= 10 && !options { print "an option before \"Options:\": " $0 }
		/^ +-/ && index($0, "-") <= 10 && !/^  (-., |    )--[a-z_-]+(=[^ ]+)?(  +[^ ].*)?$/ { print "not regular: " $0 }
		{ before = $0 }
		END { if (!options) print "no options" }')
	none "$program --help has help2man's form" "$said"
	[ $program != weft_bench_table ] || continue
	if [ "$(of_list "./$program" | wc -l)" -gt 5 ]; then
		none "$program --list-options lists what --help shows" "$(diff <(of_help "./$program") <(of_list "./$program"))"
	else
		bad "$program --list-options lists what --help shows" "$("./$program" --list-options 2>&1 | head -n 5)"
	fi
done
tap_done
