#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The costs of a message on the device, by size: work requests, doorbells, completions and bytes on the network, of both
# processes together, counted by the software EFA device as the difference of two runs. make softefa-counts runs it and
# prints the table of docs/performance.md. COUNT_PLUGINS: shared objects of other plugins; COUNT_RAW=0 omits raw
# libfabric; COUNT_SIZES: the sizes.
set -eu
cd "${TEST_BUILDDIR:?run by make softefa-counts}"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/dir"
export SOFTEFA_DIR=$tmp/dir SOFTEFA_SYSFS=$tmp/sys SOFTEFA_GENERATION=${SOFTEFA_GENERATION-1}
export WEFT_PROVIDER=${WEFT_PROVIDER-efa} WEFT_NICS='rdma*' FI_EFA_USE_DEVICE_RDMA=1

# Messages, bytes, options -> requests, doorbells, completions, bytes on the network.
run() {
	local n=$1 bytes=$2
	shift 2
	rm -rf "$tmp/sys"
	env LD_PRELOAD="${softefa_preload-$PWD/tests/softefa/.libs/libsoftefa.so}" FI_PROVIDER=efa \
		benchmarks/weft_net_perf -c 0 --pin off --reps 1 --pattern bandwidth -w 16 -n "$n" -b "$bytes" -e "$bytes" "$@" >"$tmp/out"
	grep . "$tmp"/sys/*/class/infiniband/*/ports/1/hw_counters/* | sed 's|.*/||' | awk -F: '
		$1 ~ /^(send|rdma_read|rdma_write)_wrs$/ { wrs += $2 }
		$1 == "softefa_doorbells" { bells += $2 }
		$1 == "softefa_completions" { done += $2 }
		$1 == "tx_bytes" { bytes += $2 }
		END { print wrs, bells, done, bytes }'
}

# The costs of one additional message.
each() { # bytes, options
	local bytes=$1 few=100 many=500
	shift
	echo "$(run $many "$bytes" "$@") $(run $few "$bytes" "$@")" |
		awk -v n=$((many - few)) '{ print ($1 - $5) / n, ($2 - $6) / n, ($3 - $7) / n, ($4 - $8) / n }'
}

row() { # name, bytes, counts
	printf '| %d | %s | %.2f | %.2f | %.2f | %.0f |\n' "$2" "$1" "$3" "$4" "$5" "$6"
}

echo "| bytes | | work requests | doorbells | completions | bytes on the wire |"
echo "|---|---|---|---|---|---|"
for bytes in ${COUNT_SIZES-8 4096 65536 1048576}; do
	read -r w b d x < <(each "$bytes")
	row Weft "$bytes" "$w" "$b" "$d" "$x"
	for plugin in ${COUNT_PLUGINS-}; do
		read -r pw pb pd px < <(each "$bytes" --plugin "$plugin")
		row "$(basename "$plugin")" "$bytes" "$pw" "$pb" "$pd" "$px"
	done
	[ "${COUNT_RAW-1}" != 0 ] || continue
	# Raw libfabric only runs beside a plugin.
	read -r rw rb rd rx < <(each "$bytes" --raw --raw-op tagged)
	read -r rw rb rd rx < <(echo "$rw $rb $rd $rx $w $b $d $x" | awk '{ print $1 - $5, $2 - $6, $3 - $7, $4 - $8 }')
	row "raw, tagged" "$bytes" "$rw" "$rb" "$rd" "$rx"
done
