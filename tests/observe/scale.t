#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a look costs on a full host: the instructions of weft-top and weft-exporter, counted by callgrind, so that load and
# speed of the machine do not matter. They grow in proportion to processes and connections, and are few for each: by the
# limits, 64 processes of 32 connections cost 60, 350 and 110 million instructions, and 1,000 connections of one process half
# as many.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
why=''
command -v valgrind >/dev/null || why="no valgrind"
[ -z "${TEST_SANITIZER-}" ] || why="built with a sanitizer"
grep -q '^CFLAGS = .*-O2' Makefile || why="built without -O2"
if [ -n "$why" ]; then
	skip "the cost of a look" "$why"
	tap_done
fi
tmp=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}"; rm -rf "$tmp"' EXIT
export WEFT_STATS_DIR=$tmp/records
mkdir "$WEFT_STATS_DIR"
for _ in {1..32}; do
	sleep 3600 &
	pids+=($!)
done

# Records of N processes with C connections each.
host() { # processes, connections
	local i
	rm -f "$WEFT_STATS_DIR"/*
	for ((i = 0; i < $1; i++)); do
		tests/observe/make-record "$WEFT_STATS_DIR" "${pids[i]}" busy "comms=$2" >/dev/null
	done
}

# Thousands of instructions of a program.
cost() { # program and options
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null |
		awk '/Collected/ { printf "%.0f\n", $NF / 1000 }'
}

# The cost of three hosts, each larger than the last by the same number of parts, grows evenly, and is small for each part.
even() { # what, part, thousands of instructions for each part at most, parts between the hosts, costs of three hosts
	local what="$1: $2" most=$3 parts=$4 a=$5 b=$6 c=$7
	if [ -n "$c" ] && awk "BEGIN { exit !(($c - $b) <= 1.25 * ($b - $a) && ($c - $b) / $parts <= $most) }"; then
		ok "$what: $(((c - b) / parts)) thousand instructions each, at most $most"
	else
		bad "$what: at most $most thousand instructions each" "$a, $b and $c thousand"
	fi
}

measured() { # part, parts, processes and connections of three hosts, limits of text, JSON and a scrape
	local part=$1 parts=$2 text=() json=() scrape=() size
	for size in "$3" "$4" "$5"; do
		# shellcheck disable=SC2086
		host $size
		text+=("$(cost src/weft-top --once)")
		json+=("$(cost src/weft-top --once --json)")
		scrape+=("$(cost src/weft-exporter --once --textfile "$tmp")")
	done
	even "weft-top --once" "$part" "$6" "$parts" "${text[@]}"
	even "weft-top --once --json" "$part" "$7" "$parts" "${json[@]}"
	even "weft-exporter" "$part" "$8" "$parts" "${scrape[@]}"
}

measured "a connection of one process" 300 "1 100" "1 400" "1 700" 25 180 12
measured "a process with 32 connections" 10 "5 32" "15 32" "25 32" 900 5500 1700
tap_done
