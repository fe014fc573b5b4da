#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make install and make uninstall: all files are installed and removed again, also below a directory with a space in its
# name. A libnccl-net.so of another plugin is kept.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Runs make TARGET for a directory; the output goes to the file `out`.
run_make() { # directory, target, variables...
	local dest=$1 target=$2
	shift 2
	env -u MAKEFLAGS -u MFLAGS make --no-print-directory "$target" DESTDIR="$dest" prefix=/usr/local "$@" >"$tmp/out" 2>&1 ||
		{ echo "make $target $* failed:"; tail -n 5 "$tmp/out"; }
}

# Files that are missing below a directory.
absent() { # directory, files...
	local dir=$1 file
	shift
	for file in "$@"; do
		[ -e "$dir/$file" ] || echo "$file is not installed"
	done
}

programs=(weft-info weft-top weft-exporter weft-pair weft_net_perf)
for name in all_reduce all_gather reduce_scatter alltoall sendrecv broadcast reduce gather scatter alltoallv hypercube; do
	programs+=("weft_${name}_perf")
done
pages=("${programs[@]/%/.1}")
lib=usr/local/lib

for place in "$tmp/plain" "$tmp/with a space"; do
	none "install into ${place##*/} puts all in place" "$(
		run_make "$place" install
		absent "$place/usr/local" "${programs[@]/#/bin/}" lib/libnccl-net-weft.so lib/libnccl-net.so
		absent "$place/usr/local/share" "${pages[@]/#/man/man1/}" man/man7/weft.7 doc/weft/README.md \
			"${programs[@]/#/bash-completion/completions/}"
	)"
	none "uninstall from ${place##*/} leaves nothing" "$(
		run_make "$place" uninstall
		find "$place" ! -type d
	)"
done

# A prefix with a space, which also becomes part of compiled and configured files.
none "a prefix with a space is a prefix" "$(
	place=$tmp/prefix
	run_make "$place" install prefix="/opt/a weft"
	absent "$place/opt/a weft" bin/weft-info lib/libnccl-net-weft.so
	run_make "$place" uninstall prefix="/opt/a weft"
	find "$place" ! -type d
)"

# The libnccl-net.so of another plugin, in each possible form, after install and after uninstall.
make_foreign() { # form, directory
	mkdir -p "$2"
	case $1 in
	file) echo other >"$2/libnccl-net.so" ;;
	link) echo other >"$2/libnccl-net-other.so" && ln -s libnccl-net-other.so "$2/libnccl-net.so" ;;
	dangling) ln -s /nowhere/libnccl-net-other.so "$2/libnccl-net.so" ;;
	esac
}

state() { # directory
	ls -l --time-style=+ "$1/libnccl-net.so" 2>&1
}

for form in file link dangling; do
	place=$tmp/$form
	make_foreign "$form" "$place/$lib"
	none "another plugin's libnccl-net.so stays: a $form" "$(
		before=$(state "$place/$lib")
		run_make "$place" install-plugin
		[ "$(state "$place/$lib")" = "$before" ] || echo "install made of it: $(state "$place/$lib")"
		grep -q "libnccl-net.so belongs to another plugin" "$tmp/out" || echo "install does not report it"
		[ -e "$place/$lib/libnccl-net-weft.so" ] || echo "Weft's own name is not installed"
		run_make "$place" uninstall-local
		[ "$(state "$place/$lib")" = "$before" ] || echo "uninstall made of it: $(state "$place/$lib")"
	)"
done

linked_to_weft() { # place
	[ "$(readlink "$1/$lib/libnccl-net.so")" = libnccl-net-weft.so ] || state "$1/$lib"
}

none "an older link to Weft is renewed and removed" "$(
	place=$tmp/again
	run_make "$place" install-plugin
	run_make "$place" install-plugin
	linked_to_weft "$place"
	run_make "$place" uninstall-local
	find "$place" ! -type d
)"
none "--enable-libnccl-net-link takes the name from another plugin" "$(
	make_foreign link "$tmp/take/$lib"
	run_make "$tmp/take" install-plugin NCCL_NET_LINK=yes
	linked_to_weft "$tmp/take"
	[ -e "$tmp/take/$lib/libnccl-net-other.so" ] || echo "the other plugin itself is gone"
)"
none "--disable-libnccl-net-link leaves the name free" "$(
	run_make "$tmp/free" install-plugin NCCL_NET_LINK=no
	[ ! -h "$tmp/free/$lib/libnccl-net.so" ] || state "$tmp/free/$lib"
)"

said=$(mkdir "$tmp/configure" && cd "$tmp/configure" && "${TEST_SRCDIR:?}/configure" --enable-libnccl-net-link=maybe 2>&1)
status=$?
if [ $status != 0 ] && grep -q 'takes auto, yes or no' <<<"$said"; then
	ok "configure names a bad --enable-libnccl-net-link"
else
	bad "configure names a bad --enable-libnccl-net-link" "exit $status" "$(tail -n 3 <<<"$said")"
fi
tap_done
