#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes ./configure from a source checkout. Not needed in a release archive, which carries it.
set -eu
cd "$(dirname "$0")"

missing=
need() { # command, Debian package
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need autoconf autoconf
need automake automake
need libtoolize libtool
need pkg-config pkg-config
if [ -n "$missing" ]; then
	echo "autogen.sh: missing tools; on Debian or Ubuntu: apt-get install$missing" >&2
	exit 1
fi
mkdir -p build-aux
exec autoreconf --install "$@"
