#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages, the RPM packages and the images are built with the same libraries, so that each has all programs whole.
# Debian's libNAME-dev and pkg-config's NAME or libNAME are both NAME here; nothing is built.
set -u
# shellcheck source=tests/check/tap.bash
. "$(dirname "$0")/../check/tap.bash"
cd "${TEST_SRCDIR:?run by make check}" || exit

debian() { # the libraries of debian/control, with their least releases
	sed -n '/^Build-Depends:/,/^[^ ]/s/^ lib\([a-z0-9-]*\)-dev *\((\(>= [0-9.]*\))\)\?.*/\1 \3/p' debian/control | sed 's/ $//' | sort
}
rpm() {
	sed -n 's/^BuildRequires: *pkgconfig(\(lib\)\?\([a-z0-9-]*\))/\2/p' contrib/rpm/weft.spec | sort
}
image() {
	grep -v '^#' contrib/docker/build-needs | tr ' ' '\n' | sed -n '/^libc6-dev$/d; s/^lib\([a-z0-9-]*\)-dev$/\1/p' | sort
}

none "debian/control names libraries" "$(debian | grep -qx 'fabric >= [0-9.]*' || debian)"
none "contrib/rpm/weft.spec requires those of debian/control, of the same releases" "$(diff <(debian) <(rpm))"
# An image runs no tests.
none "contrib/docker/build-needs has those of debian/control" "$(diff <(debian | sed 's/ .*//; /^cmocka$/d') <(image))"
tap_done
