#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite on Weft over its default provider and over every other provider with reliable datagram endpoints
# in the installed libfabric. --soak N runs all cases on each of them, including the long ones, with N times the
# messages. CONFORMANCE_PROVIDERS="a b" in the environment names the providers instead.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check or make soak}" || exit
suite=tests/conformance/conformance
plugin=src/.libs/libnccl-net-weft.so
soak=0
[ "${1:-}" != --soak ] || soak=$2

# Limits of providers: provider, libfabric's releases, cases, reason. The case * excludes the provider.
known="
ofi_mrail     *    *              binds several NICs together and needs to be told which
shm           1.*  killed/streaming-* reading a completion queue spins for ever on a lock that the dead process held
shm           1.*  killed/many-comms  reading a completion queue spins for ever on a lock that the dead process held
tcp;ofi_rxm   *    killed/streaming-* closing a dead peer's connection, rxm reads its freed endpoint (libfabric commit 697688386)
tcp;ofi_rxm   *    killed/many-comms  closing a dead peer's connection, rxm reads its freed endpoint (libfabric commit 697688386)
tcp;ofi_rxm   *    killed/third-process closing a dead peer's connection, rxm reads its freed endpoint (libfabric commit 697688386)
udp;ofi_rxd   1.*  *              with many messages in flight they get corrupted or lost (libfabric issue 8212)
udp;ofi_rxd   *    conn/thousand  messages get lost when a thousand connections are busy at once
"

libfabric_release=$(fi_info --version 2>/dev/null | sed -n 's/^libfabric: //p')

# The limits of this provider in this release, as PATTERN=WHY lines.
known_of() { # provider
	local provider release pattern reason
	while read -r provider release pattern reason; do
		# shellcheck disable=SC2053 # release is a pattern
		[[ $provider == "$1" && ${libfabric_release:-1.} == $release ]] && echo "$pattern=$reason"
	done <<<"$known"
}

# Every provider that fi_getinfo lists for FI_EP_RDM, from an available tool; without one, a guess.
listed_providers() {
	if command -v fi_info >/dev/null; then
		fi_info -t FI_EP_RDM 2>/dev/null | sed -n 's/^provider: //p' | sort -u
	else
		printf '%s\n' tcp shm sockets 'tcp;ofi_rxm' 'udp;ofi_rxd'
	fi
}

# Weft calls libfabric's native TCP provider tcp in every release.
providers() {
	if [ -n "${CONFORMANCE_PROVIDERS-}" ]; then
		tr ' ' '\n' <<<"$CONFORMANCE_PROVIDERS"
		return
	fi
	echo tcp
	listed_providers | grep -vxE 'net|tcp'
}

# Providers without hardware: if libfabric lists them, Weft must be able to use them.
must_work() { # provider
	[[ " tcp shm sockets tcp;ofi_rxm udp;ofi_rxd " == *" $1 "* ]]
}

# Prints the reason if Weft cannot use this provider here.
refusal() { # provider
	local out
	out=$(WEFT_PROVIDER=$1 $suite --plugin $plugin --only table/entries --verbose 2>&1) ||
		sed -n 's/^# *A| //p' <<<"$out" | head -1
}

# Runs one provider. Its lines become lines of this script, with the provider's name before each case.
run_provider() { # provider, more options of the suite
	local provider=$1 line known_cases options=()
	shift
	mapfile -t known_cases < <(known_of "$provider")
	for line in "${known_cases[@]}"; do
		options+=(--known "$line")
	done
	WEFT_PROVIDER=$provider $suite --plugin $plugin --jobs 4 "${options[@]}" "$@" | {
		planned=0 seen=0
		while IFS= read -r line; do
			case $line in
			1..*) planned=${line#1..} ;;
			ok* | not*) seen=$((seen + 1)) && echo "${line/ - / - $provider: }" ;;
			*) echo "$line" ;;
			esac
		done
		[ $seen -gt 0 ] && [ $seen -eq "$planned" ] ||
			echo "not ok 0 - $provider: $seen of $planned cases ran"
	}
}

# The suite numbers each run from 1; here the numbers continue.
renumber() {
	awk '/^(not )?ok [0-9]+ - / { n++; sub(/ok [0-9]+/, "ok " n); if (/^not/) failed++ }
	     { print; fflush() }
	     END { print "1.." n; exit failed != 0 }'
}

run_all() {
	local provider why
	providers | while IFS= read -r provider; do
		why=$(known_of "$provider" | sed -n 's/^\*=//p')
		if [ -n "$why" ]; then
			echo "ok 0 - $provider # SKIP $why"
		elif [ "$provider" = "net;ofi_rxm" ] && [ "$soak" -eq 0 ]; then
			echo "ok 0 - $provider # SKIP the layers of tcp;ofi_rxm and tcp, both of which run; make soak runs it"
		elif ! must_work "$provider" && why=$(refusal "$provider") && [ -n "$why" ]; then
			echo "ok 0 - $provider # SKIP $why"
		elif [ "$soak" -gt 0 ]; then
			run_provider "$provider" --soak "$soak" --timeout 3600
		elif [ "$provider" = tcp ]; then
			run_provider "$provider"
		else
			run_provider "$provider" --provider-only
		fi
	done
}

run_all | renumber
