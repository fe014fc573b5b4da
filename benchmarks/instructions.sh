#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Weft's own instructions per message, counted by callgrind, from isend to completion and from irecv to completion. The
# count excludes libfabric, libc and waiting: the two ends take turns, 8 messages at a time. It is the difference of a
# long and a short run, so the first messages do not matter. Obeys WEFT_PROVIDER, WEFT_PROTOCOL, WEFT_EAGER.
#
#   instructions.sh [-v] [BYTES]     -v: lists functions, too
#
# Prints "irecv N" and "isend N". Run from the build tree, or with TEST_BUILDDIR.
set -eu
cd "${TEST_BUILDDIR:-.}"
verbose=
[ "${1-}" = -v ] && verbose=1 && shift
bytes=${1:-64}
few=2000 many=6000 # whole windows
command -v valgrind >/dev/null || {
	echo "instructions.sh: no valgrind (Debian, Ubuntu: apt-get install valgrind)" >&2
	exit 1
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# "instructions function" for each function of the plugin. Reads callgrind's format: an object and a function apply
# until others are named, whatever file their code was inlined from, and the line after calls= belongs to the callee.
own() { # callgrind's output
	awk '
		function name(line,  id, text) {
			match(line, /\([0-9]+\)/)
			id = substr(line, 1, 1) substr(line, RSTART, RLENGTH)
			text = substr(line, RSTART + RLENGTH + 1)
			if (text != "")
				known[id] = text
			return known[id]
		}
		/^ob=/ { ours = name($0) ~ /libnccl-net-weft/ }
		/^fn=/ { f = name($0) }
		/^cob=/ { name(substr($0, 2)) }
		/^cfn=/ { name(substr($0, 2)) }
		/^calls=/ { getline; next }
		/^[0-9+*-]/ { if (ours) sum[f] += $2 }
		END { for (f in sum) print sum[f], f }' "$1"
}

for n in $few $many; do
	valgrind --tool=callgrind --separate-threads=yes --toggle-collect=take_turn --callgrind-out-file="$tmp/$n" \
		benchmarks/weft_self_perf --turns -b "$bytes" -n "$n" >"$tmp/log" 2>&1 || {
		tail -n 5 "$tmp/log" >&2
		exit 1
	}
done
for end in 2:irecv 3:isend; do
	for n in $few $many; do
		own "$tmp/$n-0${end%:*}" >"$tmp/$n.own"
	done
	awk -v end="${end#*:}" -v messages=$((many - few)) -v verbose="$verbose" '
		NR == FNR { few[$2] = $1; next }
		{ n = ($1 - few[$2]) / messages; sum += n; if (n >= 0.05) line[$2] = n }
		END {
			printf "%s %.0f\n", end, sum
			if (verbose)
				for (f in line) printf "  %6.1f %s\n", line[f], f | "sort -rn"
		}' "$tmp/$few.own" "$tmp/$many.own"
done
