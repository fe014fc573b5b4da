#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The packages as a user has them: built, installed on a bare system (a chroot that debootstrap makes), used, upgraded,
# and removed again; the bundle and the wheel from a directory of their own, where there is no libfabric; the container
# images, built without a container engine. It runs for minutes: `make packages-check`. What needs root or a program that is not installed is skipped by name.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/package/chroot.bash
. "$here/chroot.bash"
# shellcheck source=tests/package/image.bash
. "$here/image.bash"
src=${TEST_SRCDIR:?run by make packages-check}
cd "${TEST_BUILDDIR:?}" || exit
tmp=$(mktemp -d /var/tmp/weft-packages.XXXXXX)
trap 'rm -rf --one-file-system "$tmp"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL

missing() { # programs...
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || { echo "$program is not installed"; return; }
	done
}

built() { # target, make variables...
	DEB_BUILD_OPTIONS=nocheck make --no-print-directory "$@" >"$tmp/out" 2>&1 || { echo "make $* failed:"; tail -n 8 "$tmp/out"; }
}

loopback=(WEFT_NICS=lo WEFT_PROVIDER=tcp FI_TCP_IFACE=lo)

# Runs a command in the bare system.
inside() {
	chroot_run "$tmp/root" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
		"${loopback[@]}" -- -- "$@"
}

# Says what is wrong if two processes do not exchange verified data by the all-reduce of a directory.
exchanges() { # command to run it, path of the program...
	"$@" --ranks 2 -b 8 -e 1M -f 8 -n 2 -c 1 >"$tmp/out" 2>&1 || { echo "exit status $?:"; tail -n 5 "$tmp/out"; return; }
	grep -q '^# Out of bounds values : 0 OK' "$tmp/out" || { echo "no verified table:"; tail -n 5 "$tmp/out"; }
}

apt_install() { # directory of packages in the bare system
	inside sh -c "apt-get install -y -qq --no-install-recommends $1/*.deb" >"$tmp/out" 2>&1 || tail -n 5 "$tmp/out"
}

# Files of Weft in the bare system.
left() {
	(cd "$tmp/root" && find usr etc var/lib -name '*weft*' ! -path '*/dpkg/*' ! -path '*/apt/*')
}

# The same packages under a later version.
later() {
	local deb
	for deb in packages/deb/*_"$(dpkg --print-architecture)".deb; do
		[[ $deb != *dbgsym* ]] || continue
		dpkg-deb -R "$deb" "$tmp/later" && sed -i 's/^Version: .*/&.1/; s/(= \([^)]*\))/(= \1.1)/' "$tmp/later/DEBIAN/control" &&
			dpkg-deb --root-owner-group -b "$tmp/later" "$tmp/root/later" >/dev/null
		rm -rf "$tmp/later"
	done
}

reason=$(missing dpkg-buildpackage dh lintian debootstrap unshare)
[ -n "$reason" ] || [ "$(id -u)" = 0 ] || reason="needs root"
root=$reason
if [ -z "$root" ]; then
	none "a bare system is made" "$(chroot_make "$tmp/root")"
	cp -a "$tmp/root" "$tmp/bare" # for images
	none "and has no libfabric" "$(inside sh -c 'ldconfig -p | grep libfabric' 2>&1)"
fi

reason=$(missing patchelf)
if [ -n "$reason" ]; then
	skip "the bundle" "$reason"
else
	none "make bundle" "$(built bundle)"
	archive=$(echo packages/weft-*.tar.xz)
	if [ -z "$root" ]; then
		mkdir -p "$tmp/root/home/a user"
		tar -xJf "$archive" -C "$tmp/root/home/a user"
		dir="/home/a user/$(tar -tf "$archive" | head -n 1)"
		none "the bundle's programs exchange data on a system without libfabric" "$(exchanges inside "${dir}bin/weft_all_reduce_perf")"
		none "with the bundle's plugin and libfabric" "$(inside "${dir}bin/weft-info" >"$tmp/out" 2>&1 || tail -n 3 "$tmp/out")"
		rm -rf "$tmp/root/home/a user"
	else
		skip "the bundle on a bare system" "$root"
	fi
fi

[ -n "$reason" ] || reason=$(missing objdump)
[ -n "$reason" ] || /usr/bin/python3 -c 'import wheel, pip' 2>/dev/null || reason="python3-wheel and python3-pip are not installed"
if [ -n "$reason" ]; then
	skip "the wheel" "$reason"
else
	none "make wheel" "$(built wheel)"
	none "pip installs the wheel from its file alone" "$(
		/usr/bin/python3 -m pip install --quiet --no-index --no-warn-script-location --root-user-action ignore \
			--target "$tmp/wheel" packages/weft_nccl-*.whl 2>&1
	)"
	none "its program exchanges data" "$(
		export PYTHONPATH=$tmp/wheel WEFT_NICS=lo WEFT_PROVIDER=tcp
		exchanges /usr/bin/python3 -m weft_nccl run weft_all_reduce_perf
	)"
	none "its settings let the loader find the plugin by NCCL's name" "$(
		eval "$(PYTHONPATH=$tmp/wheel /usr/bin/python3 -m weft_nccl env)"
		/usr/bin/python3 -c 'import ctypes, os; ctypes.CDLL("libnccl-net-" + os.environ["NCCL_NET_PLUGIN"] + ".so").ncclNetPlugin_v8' 2>&1
	)"
fi

if [ -n "$root" ]; then
	skip "the Debian packages" "$root"
else
	none "make deb" "$(built deb)"
	none "lintian finds nothing" "$(lintian --allow-root --fail-on none packages/deb/*.changes 2>&1)"
	mkdir -p "$tmp/root/now" "$tmp/root/later"
	cp packages/deb/*.deb "$tmp/root/now"
	rm -f "$tmp"/root/now/*dbgsym*
	inside apt-get update -qq >"$tmp/out" 2>&1
	none "apt installs them" "$(apt_install /now)"
	none "the installed programs exchange data" "$(exchanges inside weft_all_reduce_perf)"
	none "the loader finds the plugin by NCCL's name" "$(
		inside ldconfig -p | grep -q libnccl-net-weft.so || echo "ldconfig does not list libnccl-net-weft.so"
	)"
	none "weft-top reports" "$(inside weft-top --once --json 2>&1 >"$tmp/out"; [ -s "$tmp/out" ] || echo "no output")"
	none "libnccl-net.so is left to others" "$(inside sh -c 'ls /usr/lib/*/libnccl-net.so 2>/dev/null' 2>&1)"
	later
	# shellcheck disable=SC2016
	none "a later version replaces them" "$(
		apt_install /later
		inside dpkg-query -W -f '${Package} ${Version}\n' libnccl-net-weft weft-tools weft-exporter | grep -v '\.1$'
	)"
	none "and exchanges data" "$(exchanges inside weft_all_reduce_perf)"
	none "purged packages leave nothing" "$(
		inside apt-get purge -y -qq libnccl-net-weft weft-tools weft-exporter >"$tmp/out" 2>&1 || tail -n 5 "$tmp/out"
		left
	)"
fi

reason=$(missing rpmbuild rpm2cpio cpio)
if [ -n "$reason" ]; then
	skip "the RPM packages" "$reason"
else
	none "make rpm" "$(built rpm RPMFLAGS=--nodeps)"
	reason=$(missing rpmlint)
	if [ -n "$reason" ]; then
		skip "rpmlint" "$reason"
	else
		none "rpmlint finds nothing" "$(rpmlint -r "$src/contrib/rpm/weft.rpmlintrc" packages/rpm/*/*.rpm 2>&1 |
			grep -E ': [EW]: ' | grep -v unused-rpmlintrc-filter)"
	fi
	mkdir -p "$tmp/rpm"
	for file in packages/rpm/*/*.rpm; do
		rpm2cpio "$file" | (cd "$tmp/rpm" && cpio -id --quiet)
	done
	none "the unpacked programs exchange data" "$(WEFT_NICS=lo WEFT_PROVIDER=tcp exchanges "$tmp/rpm/usr/bin/weft_all_reduce_perf" \
		--plugin "$tmp"/rpm/usr/lib*/libnccl-net-weft.so)"
fi

# The answer of weft-exporter as contrib/kubernetes starts it, in a system without another HTTP client than bash.
# shellcheck disable=SC2016
exporter_script='
	weft-exporter --listen 127.0.0.1:0 2>/dev/shm/weft-exporter &
	until port=$(sed -n "s/.*, port //p" /dev/shm/weft-exporter) && [ -n "$port" ]; do
		kill -0 $! || { cat /dev/shm/weft-exporter; exit; }
		sleep 0.1
	done
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf "GET /metrics HTTP/1.0\r\n\r\n" >&3
	cat <&3'

# An image of contrib/docker, from its stages in copies of the bare system.
in_image() { # command...
	image_start "$tmp/image" runtime "${loopback[@]}" -- "$@"
}

wrong_dockerfile() { # text
	printf '%s\n' "$1" >"$tmp/wrong"
	: >"$tmp/wrong.dockerignore"
	rm -rf "$tmp/wrong-image"
	mkdir "$tmp/wrong-image" "$tmp/nothing" 2>/dev/null
	image_build "$tmp/wrong" "$tmp/nothing" "$tmp/wrong-image" "$tmp/nothing"
}

if [ -n "$root" ]; then
	skip "the images" "$root"
elif [ "$(chroot_suite)" != bookworm ]; then
	skip "the images" "they are Debian 12's"
else
	from=$'ARG BASE=debian:bookworm-slim\nFROM ${BASE} AS one\n'
	# shellcheck disable=SC1003
	for line in 'HEALTHCHECK CMD true' 'RUN --mount=type=cache true' 'RUN false' 'COPY --chmod=1 a b' 'COPY missing /' \
		'USER root' 'CMD weft-info' 'ENV A' 'FROM debian:sid AS two' 'COPY --from=none /a /b' 'RUN true \'; do
		[ -n "$(wrong_dockerfile "$from$line")" ] || wrong+="$line "
	done
	none "a Dockerfile with a step that the test can't carry out, or that fails, is refused" "${wrong-}"
	none "a Dockerfile without steps is not" "$(wrong_dockerfile "$from")"
	mkdir "$tmp/image"
	none "contrib/docker/Dockerfile builds" "$(image_build "$src/contrib/docker/Dockerfile" "$src" "$tmp/image" "$tmp/bare")"
	none "its process is not root" "$([ "$(in_image id -u)" = 10001 ] || echo "it has the user $(in_image id -u)")"
	none "its command is weft-info" "$(in_image >"$tmp/out" 2>&1; grep -q '^Weft' "$tmp/out" || head -n 5 "$tmp/out")"
	none "two ranks in it exchange data" "$(exchanges in_image weft_all_reduce_perf)"
	none "with the libfabric of its own directory" "$(in_image weft-info | grep -q /opt/weft/lib/libfabric || echo "with another one")"
	none "weft-exporter answers over HTTP, as contrib/kubernetes needs it" "$(
		in_image timeout 60 bash -c "$exporter_script" >"$tmp/out" 2>&1
		grep -q '^HTTP/1.* 200 ' "$tmp/out" || tail -n 5 "$tmp/out"
	)"
	# shellcheck disable=SC2016
	none "the loader finds the plugin by NCCL's name" "$(
		in_image sh -c '[ -e "$LD_LIBRARY_PATH/libnccl-net-$NCCL_NET_PLUGIN.so" ]' || echo "there is none"
	)"
	none "no file of it belongs to its user" "$(find "$tmp/image/runtime" -xdev -uid 10001 | head)"
	# The recipe for enroot takes the same steps; a stand-in notes them.
	mkdir "$tmp/bin"
	cat >"$tmp/bin/enroot" <<-'END'
		#!/bin/sh
		echo "$1 $*" >>"$ENROOT_LOG"
		case $1 in export) : >"$3" ;; esac
	END
	chmod +x "$tmp/bin/enroot"
	none "contrib/enroot/build makes its image" "$(
		PATH=$tmp/bin:$PATH ENROOT_LOG=$tmp/enroot "$src/contrib/enroot/build" "$tmp/weft.sqsh" 2>&1
		[ -e "$tmp/weft.sqsh" ] || echo "no image"
		diff <(printf '%s\n' import create start create start export remove) <(grep -oE '^(import|create|start|export|remove) ' "$tmp/enroot" | tr -d ' ')
	)"
	none "its steps are the Dockerfile's" "$(
		for word in contrib/docker/build-needs contrib/docker/build\  docker/Dockerfile.dockerignore; do
			grep -q "$word" "$src/contrib/enroot/build" || echo "no $word"
		done
		while IFS= read -r line; do
			grep -qF "${line%%:*}" "$src/contrib/docker/Dockerfile" || echo "$line"
		done <"$src/contrib/enroot/environ"
	)"
fi
tap_done
