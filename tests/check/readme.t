#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# README.md is right: its commands work in their order, as a newcomer would run them, until NCCL (or the conformance
# program) uses the installed plugin; its log lines and messages are real; the commands and options in all documents
# exist, and so do the files that they link to.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
# shellcheck source=tests/nccl/libraries.bash
. "$here/../nccl/libraries.bash"
source=${TEST_SRCDIR:?run by make check} build=${TEST_BUILDDIR:?}
readme=$source/README.md
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The text of all fenced blocks of one kind in a document.
# shellcheck disable=SC2016
fenced() { # document, kind: sh, text
	sed -n '/^```'"$2"'$/,/^```$/{/^```/d;p}' "$1"
}

# --- the commands, run ---

# A directory like a fresh checkout that ./quickstart has built (tests/check/quickstart.t tests that), a sudo that works
# without root, and another directory in place of /usr/local.
make_place() {
	mkdir -p "$tmp/bin" "$tmp/checkout" "$tmp/root/usr/local"
	ln -s "$build" "$tmp/checkout/build"
	printf '#!/bin/sh\nexit 0\n' >"$tmp/checkout/quickstart"
	printf '#!/bin/sh\nexec "$@"\n' >"$tmp/bin/sudo"
	chmod +x "$tmp/checkout/quickstart" "$tmp/bin/sudo"
}

# Runs a job after the README's commands, as far as this machine can.
# shellcheck disable=SC2016
write_script() {
	echo 'cd "$CHECKOUT" || exit; step() { echo "== $*" >&2; "$@" || { echo "README.md: this fails: $*" >&2; exit 1; }; }'
	fenced "$readme" sh | sed -e '/ || echo /!{/^export /!s/^/step /}' -e "s,/usr/local,$tmp/root&,g"
	echo 'declare -p LD_LIBRARY_PATH NCCL_NET_PLUGIN NCCL_NET'
}

run_script() {
	(
		for name in $(compgen -e NCCL_); do unset "$name"; done
		unset MFLAGS
		export MAKEFLAGS="-- prefix=/usr/local" DESTDIR=$tmp/root CHECKOUT=$tmp/checkout LD_LIBRARY_PATH=${LD_LIBRARY_PATH-}
		PATH=$tmp/bin:$tmp/root/usr/local/bin:$PATH bash <(write_script) >"$tmp/out" 2>"$tmp/err" </dev/null ||
			tail -n 15 "$tmp/err" "$tmp/out"
	)
}

# The first NCCL of this machine that the tests can run without a GPU.
find_nccl() {
	local lib
	[ -z "${TEST_SANITIZER-}" ] && [ -x "$build/tests/nccl/oncpu" ] || return
	while read -r lib; do
		[ -e "$lib" ] && "$build/tests/nccl/oncpu" "$lib" 1 version >/dev/null 2>&1 && echo "$lib" && return
	done < <(find_libraries)
}

# The README's exports, and the settings for the emulated GPU of tests/nccl.
run_nccl() { # library
	(
		eval "$(sed -n 's/^declare -x/export/p' "$tmp/out")"
		export NCCL_CONF_FILE=/dev/null NCCL_IB_DISABLE=1 NCCL_SOCKET_IFNAME=lo NCCL_CUMEM_ENABLE=0
		export NCCL_CUMEM_HOST_ENABLE=0 NCCL_NVLS_ENABLE=0 NCCL_RAS_ENABLE=0 NCCL_MNNVL_ENABLE=0 NCCL_ALGO=ring
		export NCCL_PROTO=simple NCCL_TOPO_FILE=$source/tests/nccl/oncpu.xml NCCL_DEBUG=INFO
		timeout --kill-after=5 100 "$build/tests/nccl/oncpu" "$1" 2 allreduce >"$tmp/nccl" 2>&1
	)
}

# Lines of the README's log that NCCL has not printed. Releases, paths and names of NICs are those of this machine.
unlogged() {
	local line pattern
	fenced "$readme" text | while IFS= read -r line; do
		pattern=$(sed -e 's/[][\\.*^$+?(){}|]/\\&/g' -e 's/libfabric [0-9][^ ]* \\(API [^ ]* req/libfabric .* \\(API .* req/' \
			-e 's/from .*/from .*/' -e 's/Weft [0-9][0-9.\\]*/Weft .*/' -e 's/plugin weft \\(v11\\)/plugin weft (\\(v[0-9]+\\))?/' \
			-e 's/NIC lo.*/NIC .*, rails [0-9]+, provider .*/' -e 's,00/0 :.*via,.*via,' <<<"$line")
		grep -qE "$pattern" "$tmp/nccl" || echo "not in NCCL's log: $line"
	done
}

make_place
none "the commands of README.md run in their order" "$(run_script)"
plugin=$tmp/root/usr/local/lib/libnccl-net-weft.so
nccl=$(find_nccl)
if [ -n "$nccl" ]; then
	if run_nccl "$nccl" && grep -q "external network plugin $plugin" "$tmp/nccl"; then
		ok "then NCCL uses the installed plugin"
	else
		bad "then NCCL uses the installed plugin" "$(tail -n 20 "$tmp/nccl")"
	fi
	none "NCCL logs what README.md shows" "$(unlogged)"
else
	skip "then NCCL uses the installed plugin" "no NCCL that can be driven without a GPU"
	skip "NCCL logs what README.md shows" "no NCCL that can be driven without a GPU"
fi
if [ -n "${TEST_SANITIZER-}" ]; then
	skip "the installed plugin passes a conformance case" "tests/conformance has its own runs with sanitizers"
elif said=$("$build/tests/conformance/conformance" --plugin "$plugin" --only data/ping-pong 2>&1); then
	ok "the installed plugin passes a conformance case"
else
	bad "the installed plugin passes a conformance case" "$said"
fi

# --- messages ---

# The texts of the programs; texts that the source divides are joined.
texts() {
	find "$source/src" -name '*.[ch]' -exec cat {} + | tr '\n\t' '  ' | sed 's/" *"//g'
}

# Symptoms that are not Weft's messages; the first two are NCCL's.
# shellcheck disable=SC2016
unknown_symptoms() {
	texts >"$tmp/texts"
	sed -n '/^### Symptoms/,/^## /s/^| `\([^`]*\)`.*/\1/p' "$readme" | while IFS= read -r symptom; do
		case $symptom in "NET/weft" | "Failed to initialize any NET plugin") continue ;; esac
		sed 's/\.\.\./\n/g; s/=/\n/' <<<"$symptom" | while IFS= read -r part; do
			part=$(sed 's/^[: ]*//; s/[: ]*$//' <<<"$part")
			[ ${#part} -lt 3 ] || grep -qF -- "$part" "$tmp/texts" || echo "no message says \"$part\" ($symptom)"
		done
	done
}
none "the messages among the symptoms are real" "$(unknown_symptoms)"

# --- all documents ---

documents=("$readme" "$source"/docs/*.md "$source/CONTRIBUTING.md" "$source/SECURITY.md")

# The commands in a document's fenced blocks as "line number: command", one simple command per line: continuation lines
# are joined, prompts and comments are removed, and lines are divided at | ; && ||.
commands() { # document
	awk '
	/^[ \t]*```/ { fenced = !fenced; next }
	!fenced { next }
	{
		if (!held) { start = FNR; held = 1; text = "" }
		text = text $0
		if (sub(/\\$/, " ", text)) next
		held = 0
		sub(/^[ \t]*[$#] /, "", text)
		sub(/(^|[ \t])#.*/, "", text)
		n = split(text, part, /[|;&]+/)
		for (i = 1; i <= n; i++) if (part[i] ~ /[^ \t]/) print start ": " part[i]
	}' "$1"
}

# The location of a documented path in this source and build directory; for installed programs, the build tree's file.
located() {
	case $1 in
	build/*) echo "$build/${1#build/}" ;;
	weft-info | weft-top | weft-exporter) echo "$build/src/$1" ;;
	weft_net_perf | weft-pair) echo "$build/benchmarks/$1" ;;
	weft_*_perf) echo "$build/benchmarks/${1#weft_}" ;;
	*) echo "$source/$1" ;;
	esac
}

# Complaints about one simple command.
judge() { # document, line number, words...
	local at=${1##*/}:$2 word path program='' help='' option
	shift 2
	for word in "$@"; do
		path=${word#*=}
		case $path in
		"\$PWD"/*) path=${path#*/} ;;
		esac
		case $path in
		# Files that a target of make or a test builds if it can.
		*/.libs/* | build-*) continue ;;
		build/* | ./* | weft-info | weft-top | weft-exporter | weft_*_perf)
			path=$(located "$path")
			if [ ! -e "$path" ]; then
				echo "$at: $word does not exist"
			elif [ -f "$path" ] && [ -x "$path" ] && [ "$path" = "$(located "$word")" ]; then
				# The word is a command, not the value of a variable or option.
				case $path in *.so) continue ;; esac
				program=$word
				help=$("$path" --help 2>/dev/null) || echo "$at: $word --help fails"
			fi
			;;
		-*)
			[ -n "$program" ] || continue
			option=${word%%=*}
			grep -qE -- "(^|[^[:alnum:]_-])$option([^[:alnum:]_-]|\$)" <<<"$help" ||
				echo "$at: $program has no option $option in its --help"
			;;
		esac
	done
}

complaints() {
	local document at line
	for document in "${documents[@]}"; do
		while IFS=: read -r at line; do
			# Words are compared without expansion.
			read -ra words <<<"$line"
			judge "$document" "$at" "${words[@]}"
		done < <(commands "$document")
	done
}
none "every command and option that a document shows exists" "$(complaints)"

# Links to files and to headings.
broken_links() {
	local document link file
	for document in "${documents[@]}"; do
		grep -oE '\]\([^)]+\)' "$document" | sed 's/^](//; s/)$//' | while read -r link; do
			case $link in *://*) continue ;; esac
			file=$document
			[ -z "${link%%#*}" ] || file=$(dirname "$document")/${link%%#*}
			if [ ! -e "$file" ]; then
				echo "${document##*/}: $link does not exist"
			elif [[ $link = *#* ]]; then
				sed -n 's/^#\+ //p' "$file" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9_\n-' |
					grep -qx -- "${link#*#}" || echo "${document##*/}: $link is no heading"
			fi
		done
	done
}
none "every link of a document leads somewhere" "$(broken_links)"

# shellcheck disable=SC2016
layout_rooms() {
	sed -n '/^## Source layout/,/^## /s/^| `\([a-z]*\)`.*/\1/p' "$source/docs/architecture.md" | sort
}

# The rooms of src/ and the layout table of docs/architecture.md agree in both directions.
none "docs/architecture.md lists the rooms of src/" "$(
	diff <(layout_rooms) \
		<(find "$source/src" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort) | grep '^[<>]'
)"

length=$(wc -w <"$readme")
if [ "$length" -le 900 ]; then
	ok "README.md has at most 900 words"
else
	bad "README.md has at most 900 words" "it has $length"
fi
tap_done
