#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# README.md keeps its word: its commands exist, their options too, its parameter page is the table's.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
readme=${TEST_SRCDIR:?run by make check}/README.md
build=${TEST_BUILDDIR:?}

# The command lines of fenced blocks as "line number: command", one simple command each: continuation
# lines joined, a prompt and comments dropped, cut at | ; && ||.
commands() {
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
	}' "$readme"
}

# Where a path of the README lies in this source and build directory.
located() {
	case $1 in
	build/*) echo "$build/${1#build/}" ;;
	*) echo "$TEST_SRCDIR/$1" ;;
	esac
}

# Complaints about one simple command.
judge() { # line number, words...
	local at=$1 word path program='' help='' option
	shift
	for word in "$@"; do
		path=${word#*=}
		case $path in
		"\$PWD"/*) path=${path#*/} ;;
		esac
		case $path in
		build/* | ./*)
			path=$(located "$path")
			if [ ! -e "$path" ]; then
				echo "README.md:$at: $word does not exist"
			elif [ -f "$path" ] && [ -x "$path" ] && [ "$path" = "$(located "$word")" ]; then
				# The word is a command, not the value of a variable or of an option.
				case $path in *.so) continue ;; esac
				program=$word
				help=$("$path" --help 2>/dev/null) || echo "README.md:$at: $word --help fails"
			fi
			;;
		-*)
			[ -n "$program" ] || continue
			option=${word%%=*}
			grep -qE -- "(^|[^[:alnum:]_-])$option([^[:alnum:]_-]|\$)" <<<"$help" ||
				echo "README.md:$at: $program has no option $option in its --help"
			;;
		esac
	done
}

complaints() {
	local at line
	while IFS=: read -r at line; do
		# Words as they stand: nothing is expanded.
		read -ra words <<<"$line"
		judge "$at" "${words[@]}"
	done < <(commands)
}

if [ ! -r "$readme" ]; then
	bad "README.md is there"
	tap_done
fi
if [ "$(commands | grep -cE '[ =](build/|\./)')" -gt 0 ]; then
	ok "README.md shows commands"
else
	bad "README.md shows commands" "no fenced block has a word that begins with build/ or ./"
fi
none "every command and option that README.md shows exists" "$(complaints)"

shown=$(sed -n '/<!-- parameters:begin -->/,/<!-- parameters:end -->/{/<!-- parameters:/d;p}' "$readme")
table=$("$build/src/weft-info" --parameters-markdown 2>&1)
if [ -n "$table" ] && [ "$shown" = "$table" ]; then
	ok "README.md's parameter page is what weft-info --parameters-markdown prints"
else
	bad "README.md's parameter page is what weft-info --parameters-markdown prints" \
		"$(diff <(echo "$shown") <(echo "$table"))"
fi
tap_done
