#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzing of outside data with libFuzzer: one target for each parser, with the corpus beside this file. make check runs
# a few thousand inputs per target; "make fuzz FUZZ_SECONDS=600" runs each target for 600 s. Findings are stored in
# tests/fuzz/found of the build directory.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
src=${TEST_SRCDIR:?run by make check or make fuzz}
cd "${TEST_BUILDDIR:?run by make check or make fuzz}" || exit
clang=${FUZZ_CLANG:-clang}
seconds=${FUZZ_SECONDS:-0}
runs=5000
work=tests/fuzz/work
found=tests/fuzz/found
mkdir -p "$work" "$found"

# Additional sources of a target.
sources_of() {
	case $1 in
	handle) echo src/wire/handle.c ;;
	ctrl) echo src/wire/ctrl.c ;;
	cts) echo src/wire/cts.c ;;
	lifeline) echo src/peer/line.c src/peer/sock.c src/peer/ident.c src/base/random.c ;;
	machine) echo src/topo/machine.c src/base/text.c ;;
	oob) echo benchmarks/lib/oob_link.c ;;
	esac
}

build() { # target
	local file flags=() libs=() files=()
	for file in $(sources_of "$1"); do files+=("$src/$file"); done
	if [ "$1" = machine ]; then
		read -ra flags <<<"${FUZZ_HWLOC_CFLAGS:-}"
		read -ra libs <<<"${FUZZ_HWLOC_LIBS:--lhwloc}"
	fi
	"$clang" -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -I. \
		-I"$src/src" -I"$src/tests" -I"$src/benchmarks/lib" "${flags[@]}" -o "$work/$1" \
		"$src/tests/fuzz/$1.c" "${files[@]}" "${libs[@]}" -lpthread
}

# hwloc keeps some memory, and messages about rejected files are not findings.
run() { # target
	local leaks=1 how=(-runs=$runs)
	[ "$1" != machine ] || { leaks=0; how=(-runs=300); }
	[ "$seconds" -eq 0 ] || how=(-max_total_time="$seconds")
	rm -rf "$work/$1.corpus"
	mkdir -p "$work/$1.corpus"
	HWLOC_HIDE_ERRORS=2 "$work/$1" "${how[@]}" -max_len=17000 -timeout=30 -rss_limit_mb=2048 -detect_leaks=$leaks \
		-print_final_stats=1 -close_fd_mask=1 -artifact_prefix="$found/$1-" \
		"$work/$1.corpus" "$src/tests/fuzz/corpus/$1" 2>&1
}

fuzz() { # target
	local out
	out=$(run "$1") && ok "$1: $(sed -n 's/^stat::number_of_executed_units: *//p' <<<"$out") inputs" ||
		bad "$1: an input that it can't take" "$(tail -n 30 <<<"$out")"
}

# A target without findings may be ineffective, so it must find the fault of a wrong parser. That takes 100,000 inputs in the
# middle.
blunted() {
	local copy=$work/blunted.c out
	sed 's/h->addr_bytes > WIRE_HANDLE_ADDR_BYTES/h->addr_bytes > 255/' "$src/src/wire/handle.c" >"$copy"
	cmp -s "$copy" "$src/src/wire/handle.c" && { bad "a parser that checks less can't be made"; return; }
	"$clang" -g -O1 -D_GNU_SOURCE -fsanitize=fuzzer,address -I"$src/src" -I"$src/tests" -o "$work/blunted" \
		"$src/tests/fuzz/handle.c" "$copy" || { bad "a parser that checks less can't be built"; return; }
	mkdir -p "$work/blunted.corpus" # where it keeps what is new
	out=$("$work/blunted" -runs=20000000 -artifact_prefix="$work/" "$work/blunted.corpus" "$src/tests/fuzz/corpus/handle" 2>&1)
	if [ $? -ne 0 ] && grep -q "not so" <<<"$out"; then
		ok "a parser that checks too little is found out"
	else
		bad "a parser that checks too little is not found out" "$(tail -n 5 <<<"$out")"
	fi
}

# An input of another version would be refused at the first bytes.
current() { # target, place of the version in an input
	local file stale=() version
	version=$(sed -n 's/^#define WIRE_VERSION[^0-9]*//p' "$src/src/wire/handle.h")
	for file in "$src/tests/fuzz/corpus/$1"/*; do
		case ${file##*/} in other-version | another-plugin) continue ;; esac
		[ "$(od -An -tu1 -j"$2" -N1 "$file" | tr -d ' ')" = "$version" ] || stale+=("${file##*/}")
	done
	[ ${#stale[@]} -eq 0 ] && ok "$1: the inputs have version $version" ||
		bad "$1: the inputs have version $version" "${stale[*]}"
}

current handle 4
current ctrl 2
if ! echo 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return d && n ? 0 : 0; }' |
	"$clang" -fsanitize=fuzzer,address -x c -o "$work/none" - 2>/dev/null; then
	skip "fuzz targets" "no clang with libFuzzer here"
	tap_done
fi
for target in handle ctrl cts lifeline machine oob; do
	if build "$target" >"$work/$target.log" 2>&1; then
		fuzz "$target"
	else
		bad "$target: is built" "$(tail -n 20 "$work/$target.log")"
	fi
done
blunted
tap_done
