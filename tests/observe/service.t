#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unit of weft-exporter: systemd-analyze accepts it, and its command shows the processes of all users under the unit's
# limits, as far as they can be set without systemd: capabilities, no new privileges, a read-only system, no home directories.
# Another user than root sees nobody else's. The command runs in a mount and a network namespace with a /dev/shm of its own.
set -u
here=$(cd "$(dirname "$0")" && pwd)
unit=$here/../../contrib/systemd/weft-exporter.service
users=(61234 61235) # of two jobs; nobody's on a usual host

of_unit() { # directive: prints its value
	sed -n "s/^$1=//p" "$unit"
}

# --- in the namespaces ---

# Two jobs of two users, each with a live process and its record, and one process that was killed.
jobs_run() {
	local user
	for user in "${users[@]}"; do
		setpriv --reuid="$user" --clear-groups sleep 3600 &
		jobs+=($!)
		mkdir -m 700 "/dev/shm/weft-$user"
		tests/observe/make-record "/dev/shm/weft-$user" $! busy comms=4 "host=of$user" >"$tmp/path" || return
		chown -R "$user" "/dev/shm/weft-$user"
	done
	tests/observe/make-record "/dev/shm/weft-$user" 4000000 healthy "host=killed" >"$tmp/path" && chown -R "$user" /dev/shm/weft-"$user"
}

# ProtectSystem=strict and ProtectHome=yes.
protect() {
	local at
	findmnt -rno TARGET | sort -r | while read -r at; do
		case $at/ in /dev/* | /proc/* | /sys/* | "$tmp"/*) continue ;; esac
		mount -o remount,bind,ro "$at" 2>/dev/null || [ "$at" != / ] || echo "not read-only: $at"
	done
	for at in /home /root /run/user; do
		[ ! -d "$at" ] || mount -t tmpfs -o ro,mode=000 none "$at" || echo "still there: $at"
	done
}

# A scrape of the unit's command with these privileges, as text.
scrape() { # options of setpriv
	local try exporter
	cd / || return
	setpriv "$@" --inh-caps=-all --no-new-privs "$tmp/weft-exporter" 2>"$tmp/err.$#" &
	exporter=$!
	for ((try = 0; try < 300; try++)); do
		! python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:9753/metrics", timeout=60).read().decode())' \
			2>/dev/null || break
		kill -0 $exporter 2>/dev/null || break
		sleep 0.1
	done
	kill $exporter 2>/dev/null
	wait $exporter 2>/dev/null
}

inside() {
	local caps jobs=()
	tmp=$1
	mount -t tmpfs none /dev/shm && mount --bind "$tmp" "$tmp" && ip link set lo up && jobs_run || return
	protect >"$tmp/unprotected"
	caps=$(of_unit CapabilityBoundingSet | sed 's/CAP_/,+/g' | tr -d ' ' | tr '[:upper:]' '[:lower:]')
	scrape --bounding-set="-all$caps" >"$tmp/unit"
	scrape --bounding-set=-all >"$tmp/no-caps"
	scrape --reuid="${users[0]}" --clear-groups --bounding-set=-all >"$tmp/user"
	scrape --reuid=61236 --clear-groups --bounding-set=-all >"$tmp/dynamic"
	if mount -t proc -o hidepid=2,gid=61237 proc /proc 2>/dev/null; then
		scrape --bounding-set="-all$caps" >"$tmp/hidepid"
		scrape --bounding-set="-all$caps,+sys_ptrace" >"$tmp/hidepid-ptrace"
	fi
	: >"$tmp/complete"
	kill "${jobs[@]}"
}

if [ "${1-}" = --inside ]; then
	cd "$TEST_BUILDDIR" && inside "$2"
	exit
fi

# --- outside ---

# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d /tmp/weft-service.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
unset WEFT_STATS_DIR

# Each directive is one that this test sets, or that does not concern what the exporter reads.
none "the unit has no directive that is unknown here" "$(sed -n '/^\[Service\]/,/^\[Install\]/s/^\([A-Z][A-Za-z]*\)=.*/\1/p' "$unit" |
	grep -vxE 'ExecStart|Restart|CapabilityBoundingSet|NoNewPrivileges|ProtectSystem|ProtectHome' |
	grep -vxE 'ProtectKernel(Tunables|Modules|Logs)|ProtectControlGroups|LockPersonality|MemoryDenyWriteExecute' |
	grep -vxE 'RestrictNamespaces|RestrictRealtime|RestrictAddressFamilies|SystemCallArchitectures')"

if ! command -v systemd-analyze >/dev/null; then
	skip "systemd-analyze accepts the unit" "systemd-analyze is not installed"
else
	sed "s,/usr/local/bin/weft-exporter,$(command -v true)," "$unit" >"$tmp/weft-exporter.service"
	none "systemd-analyze accepts the unit" "$(systemd-analyze verify --man=no "$tmp/weft-exporter.service" 2>&1 |
		grep weft-exporter)"
	if ! systemd-analyze security --help | grep -q -- --offline; then
		skip "systemd-analyze finds the unit's exposure OK" "systemd is older than 250"
	else
		none "systemd-analyze finds the unit's exposure OK" "$(systemd-analyze security --no-pager --offline=yes --threshold=50 \
			"$tmp/weft-exporter.service" >"$tmp/security" 2>&1 || tail -3 "$tmp/security")"
	fi
fi

why=''
for tool in setpriv unshare findmnt ip python3; do
	command -v $tool >/dev/null || why="$tool is not installed"
done
[ "$(id -u)" = 0 ] || why="needs root"
[ -n "$why" ] || unshare --mount --net true 2>/dev/null || why="cannot make namespaces"
grep -q '^#define HAVE_MICROHTTPD' config.h 2>/dev/null || why=${why:-"built without libmicrohttpd"}
if [ -n "$why" ]; then
	skip "the unit's command under its limits" "$why"
	tap_done
fi
cp src/weft-exporter "$tmp/" && unshare --mount --net --propagation private "$here/service.t" --inside "$tmp" >"$tmp/out" 2>&1
if [ ! -e "$tmp/complete" ] || [ -s "$tmp/unprotected" ]; then
	bad "the unit's limits" "$(cat "$tmp/out" "$tmp/unprotected")"
	tap_done
fi

hosts() { # file: prints the hosts of its processes, with the worst of what is said of each
	sed -n 's/^weft_process_verdict{host="\([^"]*\)".*cause="\([^"]*\)"} 1/\1:\2/p' "$tmp/$1" | sort | xargs
}

sees() { # file, hosts, description
	if [ "$(hosts "$1")" = "$2" ]; then
		ok "$3"
	else
		bad "$3" "it shows: $(hosts "$1")" "expected: $2" "$(head -3 "$tmp/$1")" "$(cat "$tmp"/err.*)"
	fi
}

sees unit "killed:dead of${users[0]}:fine of${users[1]}:fine" "the unit's command shows the processes of all users"
sees no-caps "" "and would show none without CAP_DAC_READ_SEARCH"
sees user "of${users[0]}:fine" "with User= it shows that user's"
sees dynamic "" "with another user, as of DynamicUser=, it shows none"
if [ -e "$tmp/hidepid" ]; then
	sees hidepid "killed:dead of${users[0]}:fine of${users[1]}:fine" "with hidepid, a process that cannot be seen is not called dead"
	sees hidepid-ptrace "killed:dead of${users[0]}:fine of${users[1]}:fine" "with hidepid and CAP_SYS_PTRACE all are seen"
else
	skip "processes of others are hidden (hidepid)" "/proc cannot be mounted so"
fi
tap_done
