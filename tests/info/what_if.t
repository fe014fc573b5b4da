#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weft-info --what-if: the model keeps within its own bounds for every machine, JSON and text agree, wrong lists are refused.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
get=tests/bench/net_perf_json

run() { # arguments: leaves rc, $tmp/out, $tmp/err
	src/weft-info "$@" >"$tmp/out" 2>"$tmp/err"
	rc=$?
}

check() { # description, command...
	local what=$1
	shift
	if "$@"; then ok "$what"; else bad "$what" "exit $rc" "$(head -n 40 "$tmp/out" "$tmp/err")"; fi
}

# The text: its first and last line, times that grow, a busbw that grows and stays below what the better way allows. The last
# size comes within 5 % of that. Values from 10 on have one decimal.
curve() { # least number of sizes
	awk -v least="$1" '
		NR == 1 { first = /^simulated, not measured: an all-reduce over / }
		/^    (ring|tree): .*busbw at most / { match($0, /at most [0-9.]+/)
			most[substr($1, 1, 4)] = substr($0, RSTART + 8, RLENGTH - 8) }
		/^ +[0-9]/ { n++; bad += NF != 7 || $4 < time || $6 < bus || !($4 > 0) || $6 > most[$7] * 1.001 + 0.05 * ($6 >= 10)
			bad += $4 != ($2 < $3 ? $2 : $3); time = $4; bus = $6; way = $7 }
		{ last = $0 }
		END { exit bad || n < least || !first || last != "simulated, not measured" || !(bus > 0.95 * most[way]) }' "$tmp/out"
}

# The bus bandwidth of a ring never exceeds the line rate, nor that of a tree on more than two machines.
below_line_rate() { # nodes
	awk -v nodes="$1" '/^    line rate: / { for (i = 1; i < NF; i++) if ($i == "=") line = $(i + 1) }
		/^ +[0-9]/ { n++; if ($7 == "ring" || nodes > 2) bad += $6 > line * 1.001 } END { exit bad || !n || !(line > 0) }' "$tmp/out"
}

run --what-if machine=none,nodes=2
machines=$(sed -n 's/.*; known are //p' "$tmp/err" | tr -d ,)
check "an unknown machine: exit 2, and those that are known" \
	eval '[ "$rc" = 2 ] && [ ! -s "$tmp/out" ] && grep -qw p5.48xlarge <<<"$machines" && [ "$(wc -w <<<"$machines")" -ge 8 ]'
# Every row of the table of platforms has a model, or sizes that have one, or a reason.
platforms=$(WEFT_PLATFORM=nosuch WEFT_NICS=lo src/weft-info 2>&1 | sed -n 's/.*no platform that Weft knows: auto, none, //; s/; auto is used.*//p' | tr -d , | head -n 1)
check "the platforms are listed" eval 'grep -qw p5.48xlarge <<<"$platforms" && [ "$(wc -w <<<"$platforms")" -ge 15 ]'
set -f
for platform in $platforms; do
	run --what-if "machine=$platform,nodes=2"
	if grep -qwF -- "$platform" <<<"$machines"; then
		check "$platform: a model" [ "$rc" = 0 ]
		continue
	fi
	sizes=$(sed -n 's/.*; known are //p' "$tmp/err" | tr -d ,)
	fits=0
	for size in $sizes; do
		# shellcheck disable=SC2254 # a pattern
		case $platform,$size in
		p6e-gb200.*,u-p6e-gb200x*) fits=$((fits + 1)) ;;
		*) case $size in $platform) fits=$((fits + 1)) ;; esac ;;
		esac
	done
	check "$platform: exit 2, and the sizes that have a model" eval '[ "$rc" = 2 ] && [ "$fits" -gt 0 ] && [ "$fits" = "$(wc -w <<<"$sizes")" ]'
done
run --what-if machine=g5.xlarge,nodes=2
check "a size without EFA: the sizes that have it" \
	eval '[ "$rc" = 2 ] && grep -q "g5.xlarge, or it has no EFA NIC; known are g5.8xlarge, .*g5.48xlarge$" "$tmp/err"'
run --what-if machine=g5.48xlarge,nodes=2
check "without NVLink: PCIe, and what that assumes" eval '[ "$rc" = 0 ] &&
	grep -q "inside a machine: no NVLink; PCIe with 31 GB/s" "$tmp/out" && grep -q "host memory, through which all passes" "$tmp/out"'
run --what-if machine=g7e.48xlarge,nodes=2
check "PCIe is the limit where the NICs allow more" grep -qE "ring: .* busbw at most 63 GB/s, by PCIe$" "$tmp/out"
run --what-if machine=p6e-gb200.36xlarge,nodes=2
check "p6e-gb200: NVLink connects several of them" grep -q "NVLink connects the GPUs of 9 or 18 p6e-gb200.36xlarge" "$tmp/err"
set +f
for machine in $machines; do
	for nodes in 2 3 16 1000; do
		run --what-if "machine=$machine,nodes=$nodes,latency=20"
		check "$machine, $nodes nodes: within bounds" eval '[ "$rc" = 0 ] && curve 16 && below_line_rate "$nodes"'
	done
done

run --what-if machine=p5.48xlarge,nodes=16
check "the line rate of the table" grep -q 'line rate: 32 NICs x 100 Gbit/s = 400 GB/s in each direction' "$tmp/out"
check "the latency of the table" grep -q 'latency between machines: 75 us, which Weft tells NCCL' "$tmp/out"
check "8 GiB on 16 nodes: within 5 % of the line rate" \
	awk '/^ +8589934592 / { bad = !($6 > 380 && $6 <= 400); n++ } END { exit bad || n != 1 }' "$tmp/out"
check "it names what it leaves out" grep -q 'left out: congestion' "$tmp/out"
cp "$tmp/out" "$tmp/text"
run --what-if nodes=16,machine=p5.48xlarge --json
cp "$tmp/out" "$tmp/j"
check "JSON says that it is simulated" [ "$rc $($get "$tmp/j" note)" = "0 simulated, not measured" ]
i=0
awk '/^ +[0-9]/' "$tmp/text" | while read -r bytes _ _ time alg bus way; do
	echo "$bytes $way $time $alg $bus $($get "$tmp/j" sizes $i bytes) $($get "$tmp/j" sizes $i better)" \
		"$($get "$tmp/j" sizes $i "$way" time_us) $($get "$tmp/j" sizes $i "$way" algbw_gb_per_s)" \
		"$($get "$tmp/j" sizes $i "$way" busbw_gb_per_s)"
	i=$((i + 1))
done >"$tmp/both"
check "JSON and text have the same numbers" eval '[ "$($get "$tmp/j" sizes)" = "$(wc -l <"$tmp/both")" ] && awk "
	function off(a, b) { return a - b > 0.0001 + b / 900 || b - a > 0.0001 + b / 900 }
	{ bad += \$1 != \$6 || \$2 != \$7 || off(\$3, \$8) || off(\$4, \$9) || off(\$5, \$10) } END { exit bad || !NR }" "$tmp/both"'
check "and the same assumptions" eval '[ "$($get "$tmp/j" assumptions 0)" = "$(sed -n "/^Assumptions/{n;s/^ *//p}" "$tmp/text")" ] &&
	[ "$($get "$tmp/j" assumptions)" = "$(grep -c "^    [a-z]" "$tmp/text")" ]'
run --what-if machine=p5.48xlarge,nodes=16,latency=10
check "a given latency: small messages are faster" eval 'grep -q "10 us, as given" "$tmp/out" && awk "/^ +8 / { print \$4 }" "$tmp/out" |
	awk -v slow="$(awk "/^ +8 / { print \$4 }" "$tmp/text")" "{ exit !(\$1 < slow / 3) }"'
run --what-if machine=p4d.24xlarge,nodes=4,gpus=3
check "some GPUs of a machine: their share of its NICs, rounded up" \
	eval 'grep -q "line rate: 2 NICs x 100" "$tmp/out" && grep -q "3 of 8 GPUs of each machine are used" "$tmp/out"'

while IFS= read -r line; do
	read -ra args <<<"$line"
	run "${args[@]}"
	check "refused: $line" eval '[ "$rc" = 2 ] && [ ! -s "$tmp/out" ] && grep -q "^weft-info: --what-if" "$tmp/err"'
done <<'BAD'
--what-if machine=p5.48xlarge
--what-if nodes=4
--what-if machine=p5.48xlarge,nodes=1
--what-if machine=p5.48xlarge,nodes=x
--what-if machine=p5.48xlarge,nodes
--what-if machine=p5.48xlarge,nodes=70000
--what-if machine=p5.48xlarge,nodes=4,gpus=9
--what-if machine=p5.48xlarge,nodes=4,gpus=0
--what-if machine=p5.48xlarge,nodes=4,rails=4
--what-if machine=p5.48xlarge,nodes=4 --topology
--what-if machine=p5.48xlarge,nodes=4 --require nics=1
--what-if machine=
BAD
tap_done
