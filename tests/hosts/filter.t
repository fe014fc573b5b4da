#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Firewalls between two hosts (see pair.bash), in place before a job starts: they drop or reject the data, the lifeline,
# both, or the meeting of the ranks. Ranks that cannot meet or connect end in bounded time with a message that names the
# peer and what was seen; without a lifeline alone the job goes on, and says so.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
# shellcheck source=tests/hosts/job.bash
. "$here/job.bash"
export WEFT_NICS=e0 WEFT_CONNECT_TIMEOUT=3s
own=(WEFT_LIFELINE_ADDR=10.92.0.1 WEFT_LIFELINE_ADDR=10.92.0.2)

# Host a, where rank 0 listens, treats packets of b so; "" ends it.
firewall() { # match and verdict of nft
	on a nft flush ruleset
	[ -z "$1" ] || on a nft "add table inet f; add chain inet f i { type filter hook input priority 0; };
		add rule inet f i $1"
}

job() {
	job_start -b 8 -e 8 -n 20 -c 1 --meet_timeout 4
	job_finish
}

# Both ranks end with an error, and a line of rank 1, which dials, matches.
fails() { # description, rule, pattern...
	local what=$1 rule=$2 rank pattern wrong=
	shift 2
	firewall "$rule" || { skip "$what" "nft takes no such rule here"; return; }
	job
	firewall ""
	for rank in 0 1; do
		[ "${ends[rank]}" != 0 ] && [ "${ends[rank]}" -lt 124 ] || wrong+="rank $rank does not end with an error; "
	done
	for pattern; do
		grep -qE "$pattern" "$work/1" || wrong+="rank 1 does not say '$pattern'; "
	done
	none "$what" "${wrong:+$wrong$(job_diagnosis)}"
}

goes_on() { # description, rule
	local what=$1
	firewall "$2" || { skip "$what" "nft takes no such rule here"; return; }
	WEFT_CONNECT_TIMEOUT=60s job
	firewall ""
	if job_verified &&
		grep -qE 'no liveness connection to pid [0-9]+: .*10\.92\.0\.1:.*[Ll]ook for a firewall' "$work/1"; then
		ok "$what"
	else
		bad "$what" "$(job_diagnosis)"
	fi
}

data='iifname e0 meta l4proto tcp' line='iifname e1 meta l4proto tcp' meet="iifname meet tcp dport $job_port"
reject='reject with tcp reset'
# Whichever limit ends first.
nobody='connect: no answer from peer .*at 10\.91\.0\.1:[0-9]+ within [0-9]+ s'
nobody+='|accept: no connect request has arrived within [0-9]+ s .*firewall'

job_need "firewalls between two network namespaces" nft
fails "data are dropped" "$data drop" "$nobody"
fails "data are rejected" "$data $reject" "connect: .*(10\.91\.0\.1|refused)"
fails "data and lifelines are dropped" "iifname { e0, e1 } meta l4proto tcp drop" "$nobody" \
	"no liveness connection to pid [0-9]+: .* to 10\.92\.0\.1:.*[Ll]ook for a firewall"
fails "the meeting is dropped" "$meet drop" "cannot reach rank 0 at 10\.90\.0\.1"
fails "the meeting is rejected" "$meet $reject" "cannot reach rank 0 at 10\.90\.0\.1.*refused"
goes_on "lifelines are dropped" "$line drop"
goes_on "lifelines are rejected" "$line $reject"
tap_done
