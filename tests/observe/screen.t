#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weft-top on a terminal (tmux): the picture is live, keys scroll, another size of the terminal is another layout, and q
# quits and leaves the terminal as it was.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
if ! command -v tmux >/dev/null; then
	skip "weft-top on a terminal" "tmux is not installed"
	tap_done
fi
if ! grep -q '^#define HAVE_NCURSES 1' config.h; then
	skip "weft-top on a terminal" "Weft was built without ncurses"
	tap_done
fi
tmp=$(mktemp -d)
sleep 3600 &
one=$!
sleep 3600 &
other=$!
trap 'tmux -S "$tmp/tmux" kill-server 2>/dev/null; kill $one $other; rm -rf "$tmp"' EXIT
export WEFT_STATS_DIR=$tmp/records LC_ALL=C.UTF-8
mkdir "$WEFT_STATS_DIR"
unset TMUX COLUMNS

terminal() { # command of tmux
	tmux -S "$tmp/tmux" -f /dev/null "$@"
}

screen() {
	terminal capture-pane -p -t 0
}

shows() { # what, pattern of the first line, pattern of any line
	local all
	for _ in {1..300}; do
		all=$(screen)
		if head -1 <<<"$all" | grep -q -e "$2" && grep -q -e "$3" <<<"$all"; then
			ok "$1"
			return
		fi
		sleep 0.1
	done
	bad "$1" "$all"
}

tests/observe/make-record "$WEFT_STATS_DIR" $one busy comms=40 >/dev/null
terminal new-session -d -x 100 -y 20 "src/weft-top; echo ended with \$?; exec sleep 3600"
shows "a live picture, with the keys in the last line" '^weft-top .* 1 process, ' '^ q quit '
bottom=$(screen | sed -n 20p)
if [[ $bottom = " q quit"* ]]; then ok "... which is the last of the terminal"; else bad "... which is the last of the terminal" "$(screen)"; fi

terminal send-keys -t 0 Down
shows "Down scrolls by a line" "^$one " '^ q quit '
terminal send-keys -t 0 Up
shows "Up scrolls back" '^weft-top ' '^ q quit '
terminal send-keys -t 0 NPage
shows "PgDn scrolls by a page" '^  \(to\|from\) ' '^ q quit '
terminal send-keys -t 0 NPage NPage NPage NPage NPage
shows "... and not beyond the last line" '^  \(to\|from\) .*:[0-9]' '^ q quit '
terminal send-keys -t 0 PPage PPage PPage PPage PPage PPage
shows "PgUp scrolls back" '^weft-top ' '^ q quit '
terminal send-keys -t 0 x '!' Left F1
shows "other keys do nothing" '^weft-top ' '^ q quit '

tests/observe/make-record "$WEFT_STATS_DIR" $other stuck comms=2 >/dev/null
shows "a new process appears, the one in trouble first" '^weft-top .* 2 processes, ' "^$other "
first=$(screen | grep -m 1 -o "^\($one\|$other\) ")
if [ "$first" = "$other " ]; then ok "... above the others"; else bad "... above the others" "$(screen)"; fi

# tmux cuts the old picture until weft-top draws the new one.
fits() { # columns, rows
	local all
	all=$(screen)
	[[ $(sed -n "$2p" <<<"$all") = " q quit"* ]] && [ "$(wc -L <<<"$all")" -le "$1" ] && head -1 <<<"$all" | grep -q '^weft-top '
}

for size in "60 9" "30 4" "200 50"; do
	read -r columns rows <<<"$size"
	terminal resize-window -t 0 -x "$columns" -y "$rows"
	for _ in {1..300}; do
		! fits "$columns" "$rows" || break
		sleep 0.1
	done
	if fits "$columns" "$rows"; then
		ok "the terminal becomes $columns x $rows"
	else
		bad "the terminal becomes $columns x $rows" "$(screen)"
	fi
done

terminal send-keys -t 0 q
shows "q quits" '' 'ended with 0'
if screen | grep -q 'q quit'; then bad "... and leaves the terminal as it was" "$(screen)"; else ok "... and leaves the terminal as it was"; fi

# Without a name of the terminal, one report is printed.
terminal respawn-pane -k -t 0 "env -u TERM src/weft-top; echo ended with \$?; exec sleep 3600"
shows "a terminal without a name gets one report" '' 'ended with 1'
tap_done
