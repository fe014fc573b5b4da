#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Processes that have ended and left their records: in another pid namespace, too, they are known as dead, and --clean removes
# what they left and nothing of the living; weft-exporter shows them as dead, raises no alert for them, and writes no two
# series with the same labels.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
src=${TEST_SRCDIR:?run by make check}
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
sleep 3600 &
alive=$!
others=()
for _ in 1 2 3; do
	sleep 3600 &
	others+=($!)
done
container=''
trap 'kill $alive "${others[@]}" 2>/dev/null; [ -z "$container" ] || kill -KILL $container; wait 2>/dev/null; rm -rf "$tmp"' EXIT
export WEFT_STATS_DIR=$tmp/records
mkdir "$WEFT_STATS_DIR"
dead=4000000 # no process has this number

record() { # pid, scenario, KEY=VALUE...: prints the path
	tests/observe/make-record "$WEFT_STATS_DIR" "$@"
}

forget() {
	rm -rf "${WEFT_STATS_DIR:?}"/*
}

count_records() {
	find "$WEFT_STATS_DIR" -name '*.weft' | wc -l
}

scrape() { # what remains of the metrics: a pattern
	src/weft-exporter --textfile "$tmp" --once && grep -E "$1" "$tmp/weft.prom"
}

# --- which records are removed ---

forget
kept=$(record $alive closed)
record $dead closed >/dev/null
unknown=$(record $dead stuck start=2 namespace=1)
src/weft-top --clean >"$tmp/out" 2>&1
if [ -e "$kept" ] && [ -e "$unknown" ] && [ "$(count_records)" = 2 ]; then
	ok "--clean keeps the record of a living process without endpoints, and one of whose process nothing is known"
else
	bad "--clean keeps the record of a living process without endpoints, and one of whose process nothing is known" \
		"$(ls "$WEFT_STATS_DIR")" "$(<"$tmp/out")"
fi

states() {
	src/weft-top --once --json | python3 -c '
import json, sys
print(*sorted(p["state"] for p in json.load(sys.stdin)["processes"]))'
}

states_become() { # states
	local try
	for ((try = 0; try < 600; try++)); do
		[ "$(states)" != "$1" ] || return 0
		sleep 0.1
	done
	return 1
}

other_namespace() {
	local text
	forget
	WEFT_PROVIDER=tcp unshare --pid --fork --kill-child --mount-proc tests/observe/pair --bytes 65536 >"$tmp/pair" 2>&1 &
	container=$!
	for _ in {1..600}; do
		! grep -q connected "$tmp/pair" || break
		sleep 0.1
	done
	text="$(states) $(src/weft-top --clean) $(count_records)"
	if [[ $text = "running running "*" 2" ]]; then
		ok "processes of another pid namespace are known to live, and --clean keeps their records"
	else
		bad "processes of another pid namespace are known to live, and --clean keeps their records" "$text" "$(<"$tmp/pair")"
	fi
	kill -KILL $container
	wait $container 2>/dev/null
	container=''
	if states_become "dead dead" && [ "$(scrape 'pid=' | grep -c '^weft_process_verdict.*cause="dead"')" = 2 ] &&
		src/weft-top --clean >"$tmp/out" && [ "$(count_records)" = 0 ]; then
		ok "killed, they are known as dead, and --clean removes their records"
	else
		bad "killed, they are known as dead, and --clean removes their records" "$(states)" "$(ls -l "$WEFT_STATS_DIR")"
	fi
}

if ! command -v python3 >/dev/null; then
	skip "processes of another pid namespace are known to live and to be dead" "python3 is not installed"
elif [ "$(id -u)" != 0 ] || ! unshare --pid --fork --mount-proc true 2>/dev/null; then
	skip "processes of another pid namespace are known to live and to be dead" "only root can make namespaces"
else
	other_namespace
fi

# --- metrics ---

forget
record $alive healthy >/dev/null
record $dead gone host=of-dead >/dev/null
found=$(scrape of-dead)
if [ "$found" = 'weft_process_verdict{host="of-dead",pid="4000000",rank="0",job_id="4711",cause="dead"} 1' ]; then
	ok "of a killed process only the verdict is shown"
else
	bad "of a killed process only the verdict is shown" "$found"
fi

forget
record $alive healthy >/dev/null
record $alive stuck start=7 >/dev/null
record $dead stuck start=3 >/dev/null
record $dead gone start=4 >/dev/null
record 2000000 stuck namespace=1 start=5 >/dev/null
record 2000000 healthy namespace=1 start=6 >/dev/null
found=$(scrape '^weft_' | sed 's/ [^ ]*$//' | sort | uniq -d)
[ "$(grep -c '^weft_process_verdict' "$tmp/weft.prom")" = 3 ] || found+="not three processes"
! grep '^weft_peers_in_trouble.* [1-9]' "$tmp/weft.prom" || found+="an older record was shown"
none "of records with the same labels one is shown: the living one's, or the newest" "$found"

# Do the rules raise these alerts, if all that is in the file stays so for 20 minutes? Values of the panels: TITLE=NUMBER.
cat >"$tmp/tests.py" <<'END'
import json, re, sys
prom, rules, board, alerts, panels = *sys.argv[1:4], sys.argv[4].split(), dict(p.split("=") for p in sys.argv[5:])
print(f"rule_files: [{rules}]\nevaluation_interval: 15s\ntests:\n- interval: 15s\n  input_series:")
for line in open(prom):
    m = re.match(r"(weft_\w+\{.*\}) (\d+)$", line)
    if m: print(f"  - series: '{m[1]}'\n    values: '{m[2]}+0x80'")
def ask(expr, samples):
    print(f"  - eval_time: 20m\n    expr: {json.dumps(expr)}\n    exp_samples: {json.dumps(samples)}")
print("  promql_expr_test:")
ask('count by (alertname) (ALERTS{alertstate="firing"})', [{"labels": f'{{alertname="{a}"}}', "value": 1} for a in sorted(alerts)])
for p in json.load(open(board))["panels"]:
    if p["title"] in panels:
        expr = p["targets"][0]["expr"].replace("$job", ".*").replace("$host", ".*")
        ask(expr, [{"labels": "{}", "value": int(panels.pop(p["title"]))}])
if panels: sys.exit(f"there are no panels {panels}")
END
raises() { # description, alerts, pid, pid, pid, panels
	forget
	record $alive healthy >/dev/null
	record "$3" gone host=one >/dev/null
	record "$4" stuck host=two >/dev/null
	record "$5" rail-down host=three >/dev/null
	scrape . >/dev/null
	if python3 "$tmp/tests.py" "$tmp/weft.prom" "$(cd "$src" && pwd)/contrib/prometheus/weft.rules.yml" "$src/contrib/grafana/weft.json" "$2" \
		"${@:6}" >"$tmp/tests.yml" 2>"$tmp/out" && promtool test rules "$tmp/tests.yml" >"$tmp/out" 2>&1; then
		ok "$1"
	else
		bad "$1" "$(<"$tmp/out")"
	fi
}

if ! command -v promtool >/dev/null || ! command -v python3 >/dev/null; then
	skip "killed processes raise no alert" "promtool (Debian, Ubuntu: prometheus) or python3 is not installed"
	tap_done
fi
raises "processes that have lost a peer, a NIC or their way raise alerts" "WeftPeerGone WeftStuck WeftRailDown" "${others[@]}" \
	"Processes=4" "In trouble=2" "NICs down=1"
raises "killed, they raise none, and panels do not count them" "" 4000000 4000001 4000002 \
	"Processes=1" "In trouble=0" "NICs down=0" "Oldest message=0"
tap_done
