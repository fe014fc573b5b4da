# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For culprits.t: a pair of processes, what weft-top says of it, and the count of wrong verdicts.
#
# A report is a list of words: who:cause, who:cause:NIC, or who:cause:peer:direction, with the NIC at the end if one is named.
# It is right if it is the list that the case expects. A report without words, or with a part of them, says nothing yet. Any
# other is wrong, except for host_busy, if the kernel says that the pair waited for cores, and for the words in `may`.

tmp='' pair='' sender='' receiver='' may='' settings=() sender_by=() hogs=()
LOOKS=20

culprits_begin() {
	tmp=$(mktemp -d)
	trap culprits_end EXIT
	export WEFT_STATS_DIR=$tmp/records
	mkdir "$WEFT_STATS_DIR"
	if ! command -v python3 >/dev/null; then
		skip "culprits are named" "python3 is not installed"
		tap_done
	fi
	start_hogs "${HOGS:-0}"
}

culprits_end() {
	end_pair
	end_hogs
	pair_down
	rm -rf "$tmp"
}

start_hogs() { # number
	local i
	for ((i = 0; i < $1; i++)); do
		(while :; do :; done) &
		hogs+=($!)
	done
}

end_hogs() {
	[ ${#hogs[@]} = 0 ] || kill "${hogs[@]}"
	hogs=()
}

end_pair() {
	[ -z "$pair" ] || kill -KILL "$sender" "$receiver" "$pair" 2>/dev/null
	[ -z "$pair" ] || wait "$pair" 2>/dev/null
	rm -f "$WEFT_STATS_DIR"/*
	pair='' may=''
}

# Starts two processes and waits until they are connected: sets sender and receiver.
start_pair() { # options
	end_pair
	: >"$tmp/out"
	env "${settings[@]}" "${sender_by[@]}" tests/observe/pair "$@" >"$tmp/out" 2>"$tmp/err" &
	pair=$!
	for _ in {1..600}; do
		! grep -q connected "$tmp/out" || break
		sleep 0.1
	done
	# shellcheck disable=SC1090
	. <(grep sender= "$tmp/out" | tr ' ' '\n')
}

until_stopped() {
	until grep -q ') T ' "/proc/$receiver/stat"; do
		sleep 0.01
	done
}

# The words of a report.
words() { # options of weft-top
	src/weft-top --once --json "$@" >"$tmp/json" 2>"$tmp/top.err"
	python3 - "$tmp/json" "$sender" "$receiver" <<-'END' | sort | xargs
		import json, sys
		who = {int(sys.argv[2]): "sender", int(sys.argv[3]): "receiver"}
		for t in json.load(open(sys.argv[1]))["troubles"]:
		    said = who.get(t["pid"], "?") + ":" + t["cause"]
		    if "peer_pid" in t: said += ":" + who.get(t["peer_pid"], "?") + ":" + t["direction"]
		    if "nic" in t: said += ":" + t["nic"]
		    print(said)
	END
}

# ns that sender and receiver have waited for cores.
core_wait() {
	cat "/proc/$sender/schedstat" "/proc/$receiver/schedstat" 2>/dev/null | awk '{ n += $2 } END { printf "%.0f\n", n }'
}

# Words of the list that are not among the others.
beyond() { # list, others
	local word others
	others=" $(xargs <<<"$2") "
	for word in $1; do
		[[ $others = *" $word "* ]] || echo "$word"
	done | xargs
}

wrong() { # what, lines
	problems+=("$1")
	shift
	diag "run $run: ${problems[-1]}" "$@"
}

# One report of the last second: sets said, and got, without what is right on this host.
said='' got='' busy=''
look() { # words expected
	local before more
	busy=''
	before=$(core_wait)
	said=$(words --watch 1)
	[ $(($(core_wait) - before)) -lt 200000000 ] || busy="sender:host_busy receiver:host_busy"
	said=$(beyond "$said" "$busy")
	more=$(beyond "$said" "$1 $may")
	reports=$((reports + 1))
	[ -z "$more" ] || wrong "wrong verdict: $more" "$(cat "$tmp/json")" "$(src/weft-top --once)"
	got=$(beyond "$said" "$may $more")
}

# The report becomes right. A late application may stay unnamed while both sides wait for cores.
named() { # words
	local try
	for ((try = 1; try <= LOOKS; try++)); do
		look "$1"
		[ "$got" != "$1" ] || break
	done
	if ((try > LOOKS)) && [ -n "$busy" ] && [[ $1 = *_late:* ]]; then
		held_up=$((held_up + 1))
	elif ((try > LOOKS)); then
		wrong "not named: $1" "$got" "$(<"$tmp/err")" "$(<"$tmp/top.err")" "$(src/weft-top --once)"
	fi
	times+=("$try")
	[[ $1 = *stuck* || $1 = *rail_down* || $1 = *:failed* ]] || watchdog_silent
}

# Several reports blame nobody.
stays_innocent() {
	local try
	for try in 1 2 3; do
		look ""
		may=''
	done
	watchdog_silent
}

watchdog_silent() {
	! grep -q WEFT_STALL_WARN "$tmp/err" || wrong "the watchdog warns" "$(<"$tmp/err")"
}

watchdog_says() { # pattern
	local try
	for try in {1..300}; do
		! grep "WEFT_STALL_WARN" "$tmp/err" | grep -q "$1" || return
		sleep 0.1
	done
	wrong "the watchdog's line is missing" "$(<"$tmp/err")"
}

# The killed sender's record has these words, and of the sender no others. If it had no core for much of the time, the
# record may say nothing but that.
record_tells() { # words
	dead_words sender "$sender" "$1"
}

other_record_tells() { # words
	dead_words receiver "$receiver" "$1"
}

dead_words() { # who, pid, words
	local words on_core in_wait
	read -r on_core in_wait _ <"/proc/$2/schedstat" || in_wait=0
	kill -KILL "$2"
	until [ ! -e "/proc/$2" ] || grep -q ') Z ' "/proc/$2/stat" 2>/dev/null; do
		sleep 0.01
	done
	words=$(words --pid "$2")
	if ((in_wait > on_core / 3)) && [ "$words" = "$1:dead" ] && src/weft-top --once --pid "$2" | grep -q 'held up: '; then
		held_up=$((held_up + 1))
	elif [ "$words" != "$(xargs -n 1 <<<"$1:dead $3" | sort | xargs)" ]; then
		wrong "the record of the killed $1 says [$words]" "$(src/weft-top --once)"
	fi
}

case_runs() { # function, description
	local run problems=() times=() reports=0 held_up=0 all
	[ -z "${CASES-}" ] || [[ " $CASES " = *" $1 "* ]] || return 0
	for ((run = 1; run <= ${RUNS:-1}; run++)); do
		"$1"
		end_pair
	done
	if [ ${#problems[@]} = 0 ]; then
		ok "$2"
	else
		bad "$2" "${#problems[@]} problems"
	fi
	all="${RUNS:-1} runs, $reports reports, ${#problems[@]} wrong or missing"
	[ ${#times[@]} = 0 ] || all+="; named in report $(named_in)"
	[ "$held_up" = 0 ] || all+="; $held_up times only that the host is busy"
	diag "$all"
}

# "1 (18 times), 2 (2 times)"
named_in() {
	printf '%s\n' "${times[@]}" | sort -n | uniq -c |
		awk '{ printf "%s%s (%d times)", (NR > 1 ? ", " : ""), $2, $1 }'
}
