#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The plugin as seen by the process that loads it: its symbols, the libraries that it links, its flags.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/tap.bash"
src=${TEST_BUILDDIR:?run by make check}/src
plugin=$src/.libs/libnccl-net-weft.so

exported=$(nm -D --defined-only "$plugin" 2>&1 | awk '{ print $NF }' | sort | xargs)
wanted=$(printf 'ncclNetPlugin_v%d\n' 8 9 10 11 12 | sort | xargs)
if [ "$exported" = "$wanted" ]; then
	ok "exports ncclNetPlugin_v8 to ncclNetPlugin_v12 and nothing else"
else
	bad "exports ncclNetPlugin_v8 to ncclNetPlugin_v12 and nothing else" "exports: $exported"
fi

dynamic=$(readelf -d "$plugin" 2>&1)
if grep -q NODELETE <<<"$dynamic"; then
	ok "stays in the process once loaded (NODELETE)"
else
	bad "stays in the process once loaded (NODELETE)" "$dynamic"
fi

needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")
if [ -n "${TEST_SANITIZER:-}" ]; then
	skip "needs libfabric, hwloc and the C library only" "a sanitizer brings its own libraries"
elif [ -z "$needed" ]; then
	bad "needs libfabric, hwloc and the C library only" "$dynamic"
else
	none "needs libfabric, hwloc and the C library only" "$(
		grep -vE '^(libfabric|libhwloc|libc|libm|libpthread|libdl|ld-linux[-a-z0-9_]*)\.so' <<<"$needed"
	)"
fi

# LD_LIBRARY_PATH alone suffices if NCCL's default name is beside the plugin.
for link in "$src/libnccl-net.so" "$src/libnccl-net-weft.so" "$src/.libs/libnccl-net.so"; do
	if [ "$link" -ef "$plugin" ]; then
		ok "${link#"$TEST_BUILDDIR/"} is the plugin"
	else
		bad "${link#"$TEST_BUILDDIR/"} is the plugin" "$(ls -l "$link" 2>&1)"
	fi
done
tap_done
