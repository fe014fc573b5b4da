#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Real NCCL loads Weft: the plugin loader of every libnccl.so.2 of this machine, unmodified, is tested with every way to
# name the plugin. It needs no GPU, and no network except loopback. tests/nccl/libnccl.h explains the method and its
# limits.
#
# NCCL_LIBRARY=FILE[:FILE...] replaces the search for the library.

set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/nccl/libraries.bash
. "$here/libraries.bash"
builddir=${TEST_BUILDDIR:?run by make check}
loader=$builddir/tests/nccl/loader
libs=$builddir/src/.libs
plugin=$libs/libnccl-net-weft.so

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/named" "$tmp/empty"
ln -s "$plugin" "$tmp/named/libnccl-net-weft.so"

# Excludes the caller's NCCL configuration; uses loopback; excludes adapters that need a whole communicator.
for name in $(compgen -e NCCL_); do
	[ "$name" = NCCL_LIBRARY ] || unset "$name"
done
export NCCL_CONF_FILE=/dev/null NCCL_IB_DISABLE=1 NCCL_SOCKET_IFNAME=lo
export WEFT_NICS=lo
base_path=${LD_LIBRARY_PATH-}

# Memory that libfabric keeps is not a leak of Weft; libfabric 1.17 leaks some of its own infos.
if [ "${TEST_SANITIZER-}" = address ] && [ -z "${LSAN_OPTIONS-}" ]; then
	printf 'leak:libfabric.so\nleak:libnccl.so\n' >"$tmp/lsan"
	export LSAN_OPTIONS="suppressions=$tmp/lsan:print_suppressions=0"
fi

# Does this machine have a default plugin, which every process would get?
system_has_default_plugin() {
	local dir
	grep -qs NCCL_NET_PLUGIN /etc/nccl.conf ||
		PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null | grep -q 'libnccl-net\.so ' && return
	while read -r dir; do
		[ -n "$dir" ] && [ -e "$dir/libnccl-net.so" ] && return
	done < <(tr : '\n' <<<"$base_path")
	return 1
}

# Runs the loader. Arguments: rounds, communicators, a working directory, then VAR=value...; a value of LD_LIBRARY_PATH
# is put before the caller's. Results: out, err and log in $tmp, and $status.
run_loader() {
	local rounds=$1 comms=$2 dir=$3 vars=() var
	shift 3
	for var; do
		case $var in
		LD_LIBRARY_PATH=*) vars+=("$var${base_path:+:$base_path}") ;;
		*) vars+=("$var") ;;
		esac
	done
	: >"$tmp/log"
	(cd "$dir" && exec env "${vars[@]}" timeout --kill-after=10 900 \
		"$loader" --rounds "$rounds" --comms "$comms" "$nccl" "$tmp/log") \
		>"$tmp/out" 2>"$tmp/err"
	status=$?
}

# The loader's output if each round uses the network given for it (the last one also for all later rounds).
expected_output() { # rounds comms network...
	local rounds=$1 comms=$2 round comm
	shift 2
	for ((round = 1; round <= rounds; round++)); do
		for ((comm = 1; comm <= comms; comm++)); do
			echo "round $round comm $comm: $1"
		done
		[ $# -gt 1 ] && shift
	done
}

report() { # description; compares what run_loader left with $tmp/expected and $tmp/expected-err
	local problem=
	tail -n +2 "$tmp/out" | sed 's/, [0-9]* messages verified$//' >"$tmp/got"
	[ "$status" = 0 ] || problem="the loader exits $status"
	cmp -s "$tmp/got" "$tmp/expected" || problem=${problem:-another network than expected}
	grep -qvxEf "$tmp/expected-err" "$tmp/err" && problem=${problem:-unexpected lines on stderr}
	[ "$(wc -l <"$tmp/err")" = "$(wc -l <"$tmp/expected-err")" ] ||
		problem=${problem:-$(wc -l <"$tmp/err") lines on stderr}
	if [ -z "$problem" ]; then
		ok "$1"
	else
		bad "$1" "$problem; expected:" "$(cat "$tmp/expected")" \
			"output, stderr and NCCL's log:" "$(cat "$tmp/out" "$tmp/err" "$tmp/log")"
	fi
}

# expect DESCRIPTION ROUNDS COMMS 'NETWORK[|NETWORK...]' VAR=value...
expect() {
	local description="NCCL $version: $1" rounds=$2 comms=$3 networks
	IFS='|' read -ra networks <<<"$4"
	shift 4
	expected_output "$rounds" "$comms" "${networks[@]}" >"$tmp/expected"
	: >"$tmp/expected-err"
	run_loader "$rounds" "$comms" "$workdir" "$@"
	report "$description"
}

closed_times() { # description, times: that NCCL's log says it closed the plugin so often
	local n
	n=$(grep -cE 'Unloading plugin|Closing net plugin' "$tmp/log")
	if [ "$n" = "$2" ]; then
		ok "NCCL $version: $1"
	else
		bad "NCCL $version: $1" "closed $n times, not $2; NCCL's log:" "$(cat "$tmp/log")"
	fi
}

socket="Socket built-in"

# The newest version of the interface that both a release and Weft support.
abi_of() { # release as a number
	if (($1 < 22403)); then echo 8
	elif (($1 < 22602)); then echo 9
	elif (($1 < 22803)); then echo 10
	elif (($1 < 23003)); then echo 11
	else echo 12; fi
}

# since 2.21.5 weft → $weft from that release on, else NCCL's own network
since() {
	local a b c
	IFS=. read -r a b c <<<"$1"
	if ((code >= a * 10000 + b * 100 + c)); then echo "$weft"; else echo "$socket"; fi
}

# A path instead of a file name is accepted from 2.21.5 on, except by 2.27.3, which opens only names that start with
# "lib" verbatim.
paths() {
	if ((code == 22703)); then echo "$socket"; else since 2.21.5; fi
}

name_forms() {
	local path_form file_form list_form path_list_form empty_form
	path_form=$(paths)
	file_form=$(since 2.21.5)
	list_form=$(since 2.27.3)
	path_list_form=$list_form
	[ "$path_form" = "$weft" ] || path_list_form=$socket
	workdir=$tmp/empty
	expect "NCCL_NET_PLUGIN=weft" 1 1 "$weft" \
		NCCL_NET_PLUGIN=weft LD_LIBRARY_PATH="$tmp/named"
	expect "absolute path" 1 1 "$path_form" NCCL_NET_PLUGIN="$plugin"
	expect "bare file name" 1 1 "$file_form" \
		NCCL_NET_PLUGIN=libnccl-net-weft.so LD_LIBRARY_PATH="$tmp/named"
	workdir=$libs
	expect "relative path" 1 1 "$path_form" NCCL_NET_PLUGIN=./libnccl-net-weft.so
	workdir=$tmp/empty
	expect "list, missing entry first" 1 1 "$list_form" \
		NCCL_NET_PLUGIN=missing,weft LD_LIBRARY_PATH="$tmp/named"
	expect "list, path first, missing entry last" 1 1 "$path_list_form" \
		NCCL_NET_PLUGIN="$plugin,missing" LD_LIBRARY_PATH="$tmp/named"
	expect "list, missing and empty entries around" 1 1 "$list_form" \
		NCCL_NET_PLUGIN=missing,,weft,libnccl-net-other.so LD_LIBRARY_PATH="$tmp/named"
	expect "LD_LIBRARY_PATH alone" 1 1 "$weft" LD_LIBRARY_PATH="$libs"
	# Since the release with lists, an empty value means "none".
	empty_form=$weft
	((code < 22703)) || empty_form=$socket
	expect "empty" 1 1 "$empty_form" NCCL_NET_PLUGIN= LD_LIBRARY_PATH="$libs"
	expect "none" 1 1 "$socket" NCCL_NET_PLUGIN=none LD_LIBRARY_PATH="$libs"
	if system_has_default_plugin; then
		skip "NCCL $version: unset" "this machine has a libnccl-net.so for all"
		return
	fi
	expect "unset, no plugin in sight" 1 1 "$socket"
	expect "unset, no libnccl-net.so link in sight" 1 1 "$socket" LD_LIBRARY_PATH="$tmp/named"
}

life_cycle() {
	local path_form again closes
	path_form=$(paths)
	workdir=$tmp/empty
	expect "four communicators" 1 4 "$weft" LD_LIBRARY_PATH="$libs"
	expect "three rounds, by the link" 3 1 "$weft" LD_LIBRARY_PATH="$libs"
	closes=3
	((code < 22203 || (code >= 22602 && code < 22803))) && closes=0
	closed_times "closes the plugin $closes times in three rounds" "$closes"
	expect "three rounds of three communicators, by name" 3 3 "$weft" \
		NCCL_NET_PLUGIN=weft LD_LIBRARY_PATH="$libs"
	expect "two rounds, by path, the link in sight" 2 2 "$path_form" \
		NCCL_NET_PLUGIN="$plugin" LD_LIBRARY_PATH="$libs"
	# These releases forget the plugin's name when they close it, and then search for libnccl-net.so only.
	again=$path_form
	((code >= 22803 && code < 23000)) && ! system_has_default_plugin && again=$socket
	expect "two rounds, by path, no link in sight" 2 1 "$path_form|$again" \
		NCCL_NET_PLUGIN="$plugin"
	expect "two rounds, by path, no link in sight, NCCL_NET_PLUGIN_REF_COUNT=1" 2 1 \
		"$path_form" NCCL_NET_PLUGIN="$plugin" NCCL_NET_PLUGIN_REF_COUNT=1
}

# If Weft cannot be used, it reports the reason once, and NCCL continues without it.
refusal() {
	workdir=$tmp/empty
	expected_output 2 2 "$socket" >"$tmp/expected"
	echo '.*weft.*WEFT_PROVIDER.*nonsense.*' >"$tmp/expected-err"
	run_loader 2 2 "$workdir" WEFT_PROVIDER=nonsense LD_LIBRARY_PATH="$libs"
	report "NCCL $version: WEFT_PROVIDER=nonsense: one line on stderr, NCCL's own network"
}

# NCCL's own parser accepts Weft's NCCL_TOPO_FILE, and rejects a file of another version.
topology() {
	local given=$here/../topo/p4d-nccl.xml
	"$builddir/tests/nccl/topology" "$nccl" "$given" "$tmp/read" 2>"$tmp/err"
	status=$?
	if [ $status = 77 ]; then
		skip "NCCL $version: reads a topology of Weft's" "$(head -1 "$tmp/err")"
		return
	fi
	none "NCCL $version: reads a topology of Weft's" "$([ $status = 0 ] || cat "$tmp/err"
		diff <(sed 's/^ *//' "$given") <(sed 's/^ *//' "$tmp/read"))"
	sed 's/version="1"/version="9"/' "$given" >"$tmp/broken"
	"$builddir/tests/nccl/topology" "$nccl" "$tmp/broken" "$tmp/read" >/dev/null 2>&1
	status=$?
	none "NCCL $version: refuses another version" "$([ $status = 1 ] || echo "exit $status")"
}

seen=" "
found=0
while read -r nccl; do
	if [ ! -e "$nccl" ]; then
		[ -z "${NCCL_LIBRARY-}" ] || bad "$nccl, of NCCL_LIBRARY, exists"
		continue
	fi
	"$loader" "$nccl" >"$tmp/out" 2>"$tmp/err"
	status=$?
	version=$(sed -n 's/^nccl \([0-9.]*\),.*/\1/p' "$tmp/out")
	[[ $seen == *" ${version:-$(readlink -f "$nccl")} "* ]] && continue
	seen+="${version:-$(readlink -f "$nccl")} "
	found=$((found + 1))
	if [ "$status" != 0 ]; then
		reason=$(tail -n 1 "$tmp/err")
		skip "$nccl" "${reason:-the loader exits $status}"
		continue
	fi
	echo "# $(cat "$tmp/out"): $nccl"
	IFS=. read -r major minor patch <<<"$version"
	code=$((major * 10000 + minor * 100 + patch))
	weft="weft v$(abi_of $code)"
	name_forms
	life_cycle
	refusal
	topology
done < <(find_libraries)

if [ "$found$tap_failed" = 00 ]; then
	echo "1..0 # SKIP no libnccl.so.2 found; NCCL_LIBRARY=FILE names one"
	exit 0
fi
tap_done
