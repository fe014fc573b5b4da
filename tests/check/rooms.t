#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The order of src/'s rooms: which room may know which, by its includes and by the symbols that its
# objects use. Run by make check on this tree and on broken ones, or by hand:
#	tests/check/rooms.t SOURCE-DIRECTORY [BUILD-DIRECTORY]
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"

# The one table: room, and the rooms it may know besides itself. A room need not exist yet.
rooms=(
	"base"
	"conf   base"
	"wire   base"
	"topo   base conf"
	"accel  base conf"
	"peer   base conf wire"
	"fabric base conf accel"
	"dev    base conf peer topo accel fabric"
	"xfer   base conf wire peer topo accel fabric dev"
	"conn   base conf wire peer topo accel fabric dev xfer"
	"nccl   base conf wire peer topo accel fabric dev xfer conn"
	"info   base conf wire peer topo accel fabric dev xfer conn nccl"
)

known() {
	local row
	for row in "${rooms[@]}"; do echo "${row%% *}"; done
}

# Directories of src/ that are not in the table.
strangers() { # source tree
	local dir
	for dir in "$1"/src/*/; do
		dir=$(basename "$dir")
		known | grep -qx "$dir" || echo "src/$dir: not a room of the table in tests/check/rooms.t"
	done
}

# Forbidden includes of a room, as file:line: text.
includes() { # source tree, room, rooms it may know
	(cd "$1" && find "src/$2" -name '*.[ch]' -exec awk -v room="$2" -v may="$3" -v known="$(known | xargs)" '
	BEGIN {
		n = split(may, list, " "); for (i = 1; i <= n; i++) allowed[list[i]] = 1
		n = split(known, list, " "); for (i = 1; i <= n; i++) is_room[list[i]] = 1
		allowed[room] = 1
	}
	function no(why) { printf "%s:%d: room %s %s: %s\n", FILENAME, FNR, room, why, $0 }
	function here(name, dir, junk) {
		dir = FILENAME; sub(/[^\/]*$/, "", dir)
		return (getline junk < (dir name)) >= 0
	}
	/^[ \t]*#[ \t]*include[ \t]*["<]/ {
		match($0, /["<][^">]+/)
		quoted = substr($0, RSTART, 1) == "\""
		file = substr($0, RSTART + 1, RLENGTH - 1)
		first = file; sub(/\/.*/, "", first)
		if (file ~ /(^|\/)\.\.?\//)
			no("takes a way round the rooms")
		else if (first == "rdma" && room != "fabric")
			no("must leave libfabric to fabric")
		else if (file ~ /^weft\/nccl_net_v/ && room != "nccl")
			no("must leave the types of NCCL to nccl")
		else if (first in is_room && !(first in allowed))
			no("may not know " first)
		else if (quoted && file !~ /\// && file != "config.h" && !here(file))
			no("has no such header")
	}' {} +)
}

# The source of an object: Automake puts the library's name before it where the library has flags of its own.
source_of() { # object
	basename "$1" .o | sed 's/^lib[a-z_]*_la-//; s/$/.c/'
}

# "D symbol room source" and "U symbol room source" of every object of the rooms.
symbols() { # build tree
	local room object
	for room in $(known); do
		for object in "$1/src/$room"/*.o "$1/src/$room"/.libs/*.o; do
			[ -e "$object" ] || continue
			nm -P "$object" | awk -v room="$room" -v file="src/$room/$(source_of "$object")" '
				$2 == "U" { print "U", $1, room, file }
				$2 ~ /^[A-TV-Z]$/ { print "D", $1, room, file }'
		done
	done
}

# Symbols of other rooms that a room uses and may not, as file:line: text.
uses() { # source tree, file of symbols, room, rooms it may know
	awk -v room="$3" -v may=" $3 $4 " '
		$1 == "D" { home[$2] = $3 }
		$1 == "U" && $3 == room { used[$2 " " $4] = 1 }
		END {
			for (u in used) {
				split(u, part, " ")
				to = home[part[1]]
				if (to && !index(may, " " to " "))
					print part[1], to, part[2]
			}
		}' "$2" | sort | while read -r symbol to file; do
		line=$(grep -nw -m1 -- "$symbol" "$1/$file" 2>/dev/null | cut -d: -f1)
		echo "$file:${line:-0}: room $3 may not know $to: uses $symbol"
	done
}

# Sources whose object is missing, which would make the check of symbols blind.
unbuilt() { # source tree, build tree, room
	local source object built=" "
	for object in "$2/src/$3"/*.o "$2/src/$3"/.libs/*.o; do
		built+="$(source_of "$object") "
	done
	for source in "$1/src/$3"/*.c; do
		[ -e "$source" ] || continue
		[[ $built == *" $(basename "$source") "* ]] ||
			echo "src/$3/$(basename "$source"): not compiled (is it in src/Makefile.inc?)"
	done
}

# assert() is compiled out by default: a test made of it would test nothing.
asserts() { # source tree
	(cd "$1" && grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<assert\.h>' -r tests benchmarks \
		--include='*.[ch]' 2>/dev/null)
}

check_tree() { # source tree, build tree or ""
	local row room may table
	none "src/ holds known rooms only" "$(strangers "$1")"
	table=$(mktemp)
	[ -z "$2" ] || symbols "$2" >"$table"
	for row in "${rooms[@]}"; do
		read -r room may <<<"$row"
		[ -d "$1/src/$room" ] || continue
		none "$room includes only what it may know" "$(includes "$1" "$room" "$may")"
		[ -n "$2" ] || continue
		none "$room uses only what it may know" \
			"$(unbuilt "$1" "$2" "$room"; uses "$1" "$table" "$room" "$may")"
	done
	rm -f "$table"
	none "tests and benchmarks do without assert()" "$(asserts "$1")"
}

# A small tree in a scratch directory, healthy or with one fault, and what check_tree must say of it.
self_test() {
	local tree fault said
	for fault in none include symbol rdma nccl around stranger unbuilt assert; do
		tree=$(mktemp -d)
		mkdir -p "$tree/src/base" "$tree/src/xfer" "$tree/src/fabric" "$tree/src/nccl" "$tree/tests"
		echo 'void log_line(void);' >"$tree/src/base/log.h"
		printf '#include "base/log.h"\nvoid log_line(void) {}\n' >"$tree/src/base/log.c"
		echo 'void xfer_post(void);' >"$tree/src/xfer/post.h"
		printf '#include "post.h"\n#include "base/log.h"\nvoid xfer_post(void) { log_line(); }\n' \
			>"$tree/src/xfer/post.c"
		echo '#include <rdma/fabric.h>' >"$tree/src/fabric/fabric.h"
		echo '#include "weft/nccl_net_v8.h"' >"$tree/src/nccl/v8.h"
		case $fault in
		include) sed -i 's/base\/log/xfer\/post/' "$tree/src/base/log.c" ;;
		symbol) printf 'void xfer_post(void);\nvoid base_f(void) { xfer_post(); }\n' \
			>"$tree/src/base/sly.c" ;;
		rdma) echo '#  include <rdma/fi_cm.h>' >>"$tree/src/xfer/types.h" ;;
		nccl) echo '#include <weft/nccl_net_v9.h>' >>"$tree/src/xfer/types.h" ;;
		around) echo '#include "../xfer/post.h"' >>"$tree/src/base/log.h" ;;
		stranger) mkdir "$tree/src/attic" ;;
		assert) echo '#include <assert.h>' >"$tree/tests/t.c" ;;
		esac
		(
			cd "$tree" || exit
			for c in src/*/*.c; do
				mkdir -p "build/$(dirname "$c")"
				${TEST_CC:-cc} -Isrc -c "$c" \
					-o "build/$(dirname "$c")/libtree_la-$(basename "$c" .c).o" || exit
			done
		)
		[ "$fault" != unbuilt ] || echo 'int x;' >"$tree/src/base/new.c"
		said=$("$0" "$tree" "$tree/build")
		case $?,$fault in
		0,none | 1,include | 1,symbol | 1,rdma | 1,nccl | 1,around | 1,stranger | 1,unbuilt | 1,assert)
			case $fault,$said in
			none,* | include,*"src/base/log.c:1: "* | symbol,*"src/base/sly.c:1: "* | \
				rdma,*"src/xfer/types.h:1: "* | nccl,*"src/xfer/types.h:1: "* | \
				around,*"src/base/log.h:2: "* | stranger,*"src/attic: "* | \
				unbuilt,*"src/base/new.c: "* | assert,*"tests/t.c:1:"*)
				ok "a tree with fault '$fault' is judged rightly"
				;;
			*) bad "a tree with fault '$fault' is named by file and line" "$said" ;;
			esac
			;;
		*) bad "a tree with fault '$fault' is judged rightly" "$said" ;;
		esac
		rm -rf "$tree"
	done
}

if [ $# -gt 0 ]; then
	check_tree "$1" "${2:-}"
else
	check_tree "${TEST_SRCDIR:?run by make check, or name a tree}" "${TEST_BUILDDIR:?}"
	self_test
fi
tap_done
