#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Completion in bash: options, values, files, and parts of a list, requested as bash does.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
# shellcheck source=completions/weft.bash
. "${TEST_SRCDIR:?run by make check}/completions/weft.bash" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The completions of the last word, in one line. Like bash, splits the words at `=`.
offered() { # words...
	local -a COMP_WORDS=("$@")
	local COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_weft "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
	echo "${COMPREPLY[*]}"
}

offers() { # what, words to complete...
	local want=$1 got
	shift
	got=$(offered "$@")
	if [ "$got" = "$want" ]; then
		ok "$* offers ${want:-nothing}"
	else
		bad "$* offers ${want:-nothing}" "it offers $got"
	fi
}

offers "--once" weft-top --o
offers "--topology" weft-info --top
offers "--parameters-markdown --placement" weft-info --p
offers "provider=" weft-info --require pro
offers "efa,nics=" weft-info --require provider = efa,ni
offers "" weft-info --require provider = e
offers "--bytes" weft-pair --b
offers "--raw --raw-op" weft_net_perf --raw
offers "tagged writedata best" weft_net_perf --raw-op ""
offers "writedata" weft_net_perf --raw-op = wr
offers "sum prod max min avg all" weft_all_reduce_perf -o ""
offers "max min" weft_broadcast_perf --op m
offers "float" weft_alltoall_perf -b 8 --datatype fl
offers "net nccl" weft_all_gather_perf --engine =
offers "" weft_all_reduce_perf --ranks ""
offers "" weft_all_reduce_perf stray

touch "$tmp/machine.xml"
mkdir "$tmp/root"
offers "$tmp/machine.xml" weft-info --from "$tmp/mach"
offers "$tmp/root" weft-info --root "$tmp/"

# Every option of every program's --help is completed, and bash knows every program.
while read -r program built; do
	help=$("${TEST_BUILDDIR:?}/$built" --help)
	none "$program completes all of its options" "$(
		comm -3 <(offered "$program" -- | tr ' ' '\n' | sort) \
			<(grep -oE '^ +(-[a-zA-Z], )?--[a-z][a-z0-9_-]*' <<<"$help" | grep -oE -- '--[a-z0-9_-]+' | sort -u)
	)"
	if [[ $(complete -p "$program" 2>&1) = *"-F _weft "* ]]; then
		ok "bash knows the completion of $program"
	else
		bad "bash knows the completion of $program" "$(complete -p "$program" 2>&1)"
	fi
done <<'END'
weft-info src/weft-info
weft-top src/weft-top
weft-exporter src/weft-exporter
weft_net_perf benchmarks/weft_net_perf
weft-pair benchmarks/weft-pair
weft_all_reduce_perf benchmarks/all_reduce_perf
weft_all_gather_perf benchmarks/all_gather_perf
weft_reduce_scatter_perf benchmarks/reduce_scatter_perf
weft_alltoall_perf benchmarks/alltoall_perf
weft_sendrecv_perf benchmarks/sendrecv_perf
weft_broadcast_perf benchmarks/broadcast_perf
weft_reduce_perf benchmarks/reduce_perf
weft_gather_perf benchmarks/gather_perf
weft_scatter_perf benchmarks/scatter_perf
weft_alltoallv_perf benchmarks/alltoallv_perf
weft_hypercube_perf benchmarks/hypercube_perf
END
tap_done
