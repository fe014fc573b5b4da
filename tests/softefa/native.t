#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Weft asks the libfabric that it runs on, not the headers that it was built with, whether the NIC does remote writes
# itself. .ci/run repeats this test of a build against libfabric 1.17 on a newer one, with SOFTEFA_NATIVE=required.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
# shellcheck source=tests/softefa/softefa.bash
. "$here/softefa.bash"
softefa_need
export WEFT_PROVIDER=efa WEFT_NICS='rdma*' SOFTEFA_GENERATION=1
unset WEFT_PROTOCOL FI_EFA_USE_DEVICE_RDMA

said=$(softefa src/weft-info 2>&1)
release=$(sed -n 's/^libfabric \([0-9]*\)\.\([0-9]*\) .*/\1 \2/p' <<<"$said")
read -r major minor <<<"${release:-0 0}"
if [ "$major" -lt 2 ] && [ -z "${SOFTEFA_NATIVE-}" ]; then
	skip "native remote writes" "libfabric $major.$minor does not report them; .ci/run has a newer one"
	tap_done
fi
none "on libfabric $major.$minor the NIC's own remote writes are used" \
	"$(grep -q 'messages go by remote writes (rma)' <<<"$said" || echo "$said")"
out=$(softefa tests/conformance/conformance --plugin src/.libs/libnccl-net-weft.so --jobs 2 --only data/random \
	--only data/zero-bytes --only close/close-with-receives 2>&1)
none "... and carry data" "$(grep -q '^ok' <<<"$out" || echo "no case has passed"; grep '^not ok' <<<"$out")"
tap_done
