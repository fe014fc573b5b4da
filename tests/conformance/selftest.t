#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite detects faults: on a plugin that is broken on purpose (broken.c), with one fault at a time, the
# case for that fault must fail. Without a fault, the case passes.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
suite=tests/conformance/conformance
export BROKEN_PLUGIN_INNER=$PWD/src/.libs/libnccl-net-weft.so
export WEFT_EAGER=off # an eager message may be there before the plugin could lie about it
parallel=3   # faults tried at once: most of them wait
timeout_s=3 # of a case that hangs because of the fault; longer on a busy machine

# Each fault, and a case that must fail because of it.
table="
no-flush            table/entries
init-once           table/init-again
unwritten-property  table/all-fields
no-speed            table/values
blocking-connect    conn/self
stale-comm          conn/connect-first
long-handle         conn/accept-first
leak-files          conn/come-and-go
close-fails         conn/close-nothing
drop                data/ping-pong
drop                data/small-sizes
corrupt             data/small-sizes
corrupt             data/random
overrun             data/unaligned
spill               data/larger-receives
wrong-size          data/medium-sizes
many-sizes          data/small-sizes
stale-request       data/deeper-than-promised
stale-done          data/promised-depth
shallow             data/promised-depth
early-receive       data/small-sizes
early-send          data/medium-sizes
reorder             data/small-sizes
reorder             data/many-comms
hang                data/ping-pong
hang                thread/hand-over
scribble            timing/early-sender
blocking-isend      timing/stuck-large
flush-fails         memory/flush
lazy-dereg          close/dereg-with-receives
lazy-dereg          close/dereg-in-flight
no-errors           close/peer-gone-while-waiting
takes-any-memory    error/unsupported-memory
impatient           killed/silent-is-not-dead
no-errors           killed/receiver-waits
no-errors           killed/before-connect
no-errors           killed/streaming-large
no-errors           handle/garbage
ghost               killed/receiver-waits
ghost               killed/idle
vague               killed/receiver-waits
"

# Prints the suite's output unless the fault makes the case fail.
unnoticed() { # fault, case
	local out status
	out=$(BROKEN_PLUGIN_FAULT=$1 $suite --plugin tests/conformance/.libs/broken.so --only "$2" \
		--timeout "$timeout_s" 2>&1)
	status=$?
	[ $status -eq 1 ] && grep -q "^not ok 1 - $2\$" <<<"$out" || printf 'exit %d\n%s\n' $status "$out"
}

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# All these cases pass without a fault, so the faults are the cause of their failures.
only=()
for case in $(awk '{ print $2 }' <<<"$table" | sort -u); do
	only+=(--only "$case")
done
out=$(BROKEN_PLUGIN_FAULT=none $suite --plugin tests/conformance/.libs/broken.so "${only[@]}" \
	--jobs $parallel 2>&1) && out=
none "without a fault, every case of the table passes" "$out"

while read -r fault case; do
	[ -n "$fault" ] || continue
	while [ "$(jobs -rp | wc -l)" -ge $parallel ]; do wait -n; done
	unnoticed "$fault" "$case" >"$results/$fault ${case//\//-}" &
done <<<"$table"
wait

while read -r fault case; do
	[ -z "$fault" ] || none "$fault fails $case" "$(cat "$results/$fault ${case//\//-}")"
done <<<"$table"
tap_done
