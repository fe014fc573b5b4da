# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Bare systems in directories, for root: made by debootstrap, and entered with a loopback and process ids of their own.

# The code name of this machine's release, which the bare systems have, too.
chroot_suite() {
	# shellcheck source=/dev/null
	(. /etc/os-release && echo "$VERSION_CODENAME")
}

# Says what went wrong, or nothing. MIRROR=URL: debootstrap's own unless set.
chroot_make() { # directory
	local log
	log=$(debootstrap --variant=minbase "$(chroot_suite)" "$1" ${MIRROR:+"$MIRROR"} 2>&1) || { tail -n 5 <<<"$log"; return; }
	cp /etc/resolv.conf "$1/etc/resolv.conf"
}

# Runs a command in the bare system, with this environment only.
chroot_run() { # directory, assignments... -- options of chroot... -- command...
	local root=$1 environment=() options=()
	shift
	while [ "$1" != -- ]; do
		environment+=("$1")
		shift
	done
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	# shellcheck disable=SC2016
	unshare --mount --pid --fork sh -c 'root=$1 && shift && mount -t proc proc "$root/proc" &&
		mount -t tmpfs tmpfs "$root/dev/shm" && exec env -i "$@"' \
		sh "$root" "${environment[@]}" chroot "${options[@]}" "$root" "$@" </dev/null
}
