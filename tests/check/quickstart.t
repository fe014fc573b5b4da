#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command line of ./quickstart, the cases in which it configures, and shellcheck on all shell scripts.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
cd "${TEST_SRCDIR:?run by make check}" || exit

if out=$(./quickstart --help 2>/dev/null) && grep -q "quickstart check" <<<"$out"; then
	ok "--help explains on stdout and exits 0"
else
	bad "--help explains on stdout and exits 0" "$out"
fi

out=$(./quickstart nonsense 2>&1 >/dev/null)
status=$?
if [ $status = 2 ] && grep -q nonsense <<<"$out"; then
	ok "an unknown argument is named on stderr, exit 2"
else
	bad "an unknown argument is named on stderr, exit 2" "exit $status" "$out"
fi

# Runs ./quickstart in a small tree whose tools are scripts: the file `have` lists the libraries that are present, and
# each run of configure adds a line to `configured`.
make_tree() { # directory
	local tool
	mkdir -p "$1/bin" && cp quickstart "$1/" && cd "$1" || return
	for tool in make autoconf automake libtoolize apt-get; do
		printf '#!/bin/sh\nexit 0\n' >"bin/$tool"
	done
	cat >bin/cc <<-'END'
		#!/bin/sh
		read -r include
		include=${include#*<}
		grep -q "${include%>*}" "$HAVE"
	END
	cat >bin/pkg-config <<-'END'
		#!/bin/sh
		line=$(grep -m1 "^$2 " "$HAVE") || exit 1
		[ "$1" != --modversion ] || echo "${line##* }"
	END
	cat >autogen.sh <<-'END'
		#!/bin/sh
		cat >configure <<-'SCRIPT'
			#!/bin/sh
			echo "$PWD" >>../configured
			echo "abs_top_builddir = $PWD" >Makefile
			mkdir -p benchmarks
			touch config.log
			echo "#!/bin/sh" >benchmarks/all_reduce_perf
			chmod +x benchmarks/all_reduce_perf
		SCRIPT
		chmod +x configure
	END
	chmod +x bin/* autogen.sh
	printf '%s\n' 'libc stdio.h 1' 'libfabric rdma/fabric.h 1.17.0' 'hwloc hwloc.h 2.9.0' 'jansson jansson.h 2.14' \
		'ncurses curses.h 6.4' 'libmicrohttpd microhttpd.h 0.9.75' >have
}

# The number of runs of configure after another ./quickstart in that tree.
configured_after() { # what happens before: command...
	"$@"
	env -u CC -u CPPFLAGS -u CONFIGURE_ARGS HAVE="$PWD/have" PATH="$PWD/bin:$PATH" ./quickstart >quickstart.out 2>&1 ||
		echo "failed: $(cat quickstart.out)"
	wc -l <configured
}

# Prints unexpected results.
try_dependencies() { # directory
	local got
	make_tree "$1" || return
	got=$(configured_after true | xargs)
	[ "$got" = 1 ] || echo "first run: configured $got times"
	got=$(configured_after true | xargs)
	[ "$got" = 1 ] || echo "second run, nothing new: configured $got times in all"
	got=$(configured_after eval 'echo "cmocka cmocka.h 1.1.7" >>have' | xargs)
	[ "$got" = 2 ] || echo "a library has come: configured $got times in all"
	got=$(configured_after sed -i 's/1.17.0/2.1.0/' have | xargs)
	[ "$got" = 3 ] || echo "a library has another release: configured $got times in all"
	got=$(configured_after sed -i '/cmocka/d' have | xargs)
	[ "$got" = 4 ] || echo "a library is gone: configured $got times in all"
	got=$(configured_after true | xargs)
	[ "$got" = 4 ] || echo "last run, nothing new: configured $got times in all"
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
none "it configures anew when a library comes, goes or changes, and only then" \
	"$(try_dependencies "$tmp/a tree" 2>&1)"

for script in quickstart autogen.sh .ci/run .ci/fresh docs/generate completions/weft.bash tests/check/tap.bash \
	tests/check/*.t tests/launch/*.t tests/package/*.t contrib/package/bundle contrib/package/wheel \
	contrib/slurm/{prolog,epilog,task_prolog} contrib/slurm/*.sbatch; do
	if command -v shellcheck >/dev/null; then
		none "shellcheck $script" "$(shellcheck -x "$script" 2>&1)"
	else
		skip "shellcheck $script" "shellcheck is not installed"
	fi
done
tap_done
