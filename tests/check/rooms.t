#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The order of the rooms of src/: each may use only certain others, by its includes and by the symbols of its objects;
# and the files of a room do not call each other in a circle. make check runs it on this tree and on broken ones; by
# hand:
#	tests/check/rooms.t SOURCE-DIRECTORY [BUILD-DIRECTORY]
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"

# The table: each room, and the other rooms that it may use. A room need not exist yet.
rooms=(
	"base"
	"conf   base"
	"wire   base"
	"topo   base conf"
	"accel  base conf"
	"peer   base conf wire"
	"fabric base conf accel"
	"dev    base conf peer topo accel fabric"
	"stats  base conf peer accel topo fabric dev"
	"ep     base conf wire peer topo accel fabric dev stats"
	"comm   base conf wire peer topo accel fabric dev stats ep"
	"proto  base conf wire peer topo accel fabric dev stats ep comm"
	"xfer   base conf wire peer topo accel fabric dev stats ep comm proto"
	"cm     base conf wire peer topo accel fabric dev stats ep comm proto xfer"
	"nccl   base conf wire peer topo accel fabric dev stats ep comm proto xfer cm"
	"observe base"
	"info   base conf wire peer topo accel fabric dev stats ep comm proto xfer cm nccl"
)

known() {
	local row
	for row in "${rooms[@]}"; do echo "${row%% *}"; done
}

# Directories of src/ that are missing from the table.
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

# The source of an object. Automake prefixes the library's name if the library has flags of its own.
source_of() { # object
	basename "$1" .o | sed 's/^lib[a-z_]*_la-//; s/^weft_[a-z]*-//; s/$/.c/'
}

# "D symbol room source" (defined) and "U symbol room source" (undefined) of every object of the rooms that has a
# source.
symbols() { # source tree, build tree
	local room object
	for room in $(known); do
		for object in "$2/src/$room"/*.o "$2/src/$room"/.libs/*.o; do
			[ -e "$object" ] || continue
			[ -e "$1/src/$room/$(source_of "$object")" ] || continue
			nm -P "$object" | awk -v room="$room" -v file="src/$room/$(source_of "$object")" '
				$2 == "U" { print "U", $1, room, file }
				$2 ~ /^[A-TV-Z]$/ { print "D", $1, room, file }'
		done
	done
}

# Symbols of forbidden rooms that a room uses, as file:line: text.
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

# Files of a room that are in a circle, or between two circles, each with one file that it calls. The algorithm removes,
# repeatedly, files that call no remaining file and files that no remaining file calls.
circles() { # file of symbols, room
	awk -v room="$2" '
		$1 == "D" && $3 == room { home[$2] = $4 }
		$1 == "U" && $3 == room { used[$2 " " $4] = 1 }
		END {
			for (u in used) {
				split(u, part, " ")
				to = home[part[1]]
				if (to && to != part[2])
					calls[part[2] " " to] = part[1]
			}
			do {
				split("", out); split("", in_); gone = 0
				for (c in calls) { split(c, end, " "); out[end[1]] = in_[end[2]] = 1 }
				for (c in calls) {
					split(c, end, " ")
					if (!(end[2] in out) || !(end[1] in in_)) { delete calls[c]; gone = 1 }
				}
			} while (gone)
			for (c in calls) {
				split(c, end, " ")
				print end[1] ": in a circle: calls " calls[c] " of " end[2]
			}
		}' "$1" | sort
}

# Sources without an object; the check of symbols would miss them.
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

# assert() is compiled out by default, so a test that uses it would test nothing.
asserts() { # source tree
	(cd "$1" && grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<assert\.h>' -r tests benchmarks \
		--include='*.[ch]' 2>/dev/null)
}

check_tree() { # source tree, build tree or ""
	local row room may table
	none "src/ holds known rooms only" "$(strangers "$1")"
	table=$(mktemp)
	[ -z "$2" ] || symbols "$1" "$2" >"$table"
	for row in "${rooms[@]}"; do
		read -r room may <<<"$row"
		[ -d "$1/src/$room" ] || continue
		none "$room includes only what it may know" "$(includes "$1" "$room" "$may")"
		[ -n "$2" ] || continue
		none "$room uses only what it may know" \
			"$(unbuilt "$1" "$2" "$room"; uses "$1" "$table" "$room" "$may")"
		none "$room has no files in a circle" "$(circles "$table" "$room")"
	done
	rm -f "$table"
	none "tests and benchmarks do without assert()" "$(asserts "$1")"
}

# A small tree in a scratch directory, right or with one fault, and check_tree's expected output for it.
self_test() {
	local tree fault said
	for fault in none include symbol rdma nccl around stranger unbuilt assert circle; do
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
		circle)
			printf 'void b(void);\nvoid c(void);\nvoid a(void) { b(); c(); }\n' >"$tree/src/xfer/a.c"
			printf 'void c(void);\nvoid b(void) { c(); }\n' >"$tree/src/xfer/b.c"
			printf 'void a(void);\nvoid xfer_post(void);\nvoid c(void) { a(); xfer_post(); }\n' \
				>"$tree/src/xfer/c.c"
			;;
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
		0,none | 1,include | 1,symbol | 1,rdma | 1,nccl | 1,around | 1,stranger | 1,unbuilt | 1,assert | \
			1,circle)
			case $fault,$said in
			none,* | include,*"src/base/log.c:1: "* | symbol,*"src/base/sly.c:1: "* | \
				rdma,*"src/xfer/types.h:1: "* | nccl,*"src/xfer/types.h:1: "* | \
				around,*"src/base/log.h:2: "* | stranger,*"src/attic: "* | \
				unbuilt,*"src/base/new.c: "* | assert,*"tests/t.c:1:"* | \
				circle,*"src/xfer/b.c: in a circle: calls c of src/xfer/c.c"*)
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
