#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A running all-reduce, seen by weft-top and weft-exporter, and through it by a real Prometheus, which also checks the alerts
# and answers every query of the dashboard.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
src=${TEST_SRCDIR:?run by make check}
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
children=()
trap 'kill "${children[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$tmp"' EXIT
export WEFT_STATS_DIR=$tmp/records
mkdir "$WEFT_STATS_DIR"
rules=$src/contrib/prometheus/weft.rules.yml
board=$src/contrib/grafana/weft.json

if command -v promtool >/dev/null; then
	none "promtool accepts the alerts" "$(promtool check rules "$rules" 2>&1 >"$tmp/out" || cat "$tmp/out")"
else
	skip "promtool accepts the alerts" "promtool is not installed (Debian, Ubuntu: prometheus)"
fi

# Counters never run backwards, whatever becomes of the record's entries: on records made by hand, of one process.
mkdir "$tmp/made" "$tmp/next" "$tmp/prom"
becomes() { # scenario: the exporter has read it when this returns
	local last try
	mv "$(tests/observe/make-record "$tmp/next" $$ "$1")" "$tmp/made"
	for _ in first second; do # the first file may be of before
		last=$(stat -c %y "$tmp/prom/weft.prom" 2>/dev/null)
		for ((try = 0; try < 600; try++)); do
			[ "$(stat -c %y "$tmp/prom/weft.prom" 2>/dev/null)" = "$last" ] || break
			sleep 0.1
		done
	done
}
sum() { # pattern of the samples
	awk -v "pattern=$1" '$0 ~ pattern { n += $NF } END { printf "%.9f\n", n }' "$tmp/prom/weft.prom"
}
WEFT_STATS_DIR=$tmp/made src/weft-exporter --textfile "$tmp/prom" --interval 1 2>"$tmp/err" &
exporter=$!
children+=("$exporter")
sent='^weft_rail_bytes_total.*device="eth0",nic="eth1",direction="transmit"'
becomes endpoint-open
got=$(sum "$sent")
becomes endpoint-closed
got+=" $(sum "$sent")"
becomes endpoint-new
got+=" $(sum "$sent")"
if [ "$got" = "100000000000.000000000 100000000000.000000000 101000000000.000000000" ]; then
	ok "a NIC's counters keep those of a closed endpoint"
else
	bad "a NIC's counters keep those of a closed endpoint" "$got" "$(<"$tmp/err")"
fi
waited='^weft_wait_seconds_sum'
got=$(sum "$waited")
becomes slower-clock
got+=" $(sum "$waited")"
if [ "${got% *}" = "${got#* }" ] && [ "${got%.*}" != 0 ]; then
	ok "a sum of waits does not shrink when the process measures its clock again"
else
	bad "a sum of waits does not shrink when the process measures its clock again" "$got"
fi
kill -TERM $exporter
wait $exporter
status=$?
rm -r "$tmp/prom"
if [ $status = 0 ]; then ok "--textfile ends with status 0 by SIGTERM"; else bad "--textfile ends with status 0 by SIGTERM" "$status"; fi

if ! command -v python3 >/dev/null; then
	skip "a running all-reduce is observed" "python3 is not installed"
	tap_done
fi

: >"$tmp/job"
WEFT_PROVIDER=tcp benchmarks/all_reduce_perf --ranks 2 -b 512K -e 512K -n 20 -N 0 -c 0 >"$tmp/job" 2>&1 &
children+=($!)
for _ in {1..600}; do
	[ "$(grep -c ' 524288 ' "$tmp/job")" -lt 2 ] || break
	sleep 0.1
done

src/weft-top --json >"$tmp/json"
none "weft-top shows two processes that name each other" "$(python3 - "$tmp/json" 2>&1 <<-'END'
	import json, sys
	ps = json.load(open(sys.argv[1]))["processes"]
	assert len(ps) == 2, ps
	pids = sorted(p["pid"] for p in ps)
	for p in ps:
	    other = [q for q in pids if q != p["pid"]]
	    assert p["command"] == "all_reduce_perf" and p["state"] == "running", p
	    assert {(q["pid"], q["direction"]) for q in p["peers"]} == {(other[0], "send"), (other[0], "receive")}, p["peers"]
	    assert all(q["bytes"] + q["eager_bytes"] > 1000000 for q in p["peers"]), p["peers"]
	    assert all(q["messages"] + q["eager_messages"] > 20 for q in p["peers"]), p["peers"]
	    # A comm has up to 32 requests, and a copy of its counters is not of one instant.
	    assert all(q["outstanding"] <= 64 * q["comms"] for q in p["peers"]), p["peers"]
	    assert [r["name"] for r in p["rails"]] == ["lo"] and p["rails"][0]["tx_bytes"] > 1000000, p["rails"]
END
)"

# As a file, for node_exporter.
if src/weft-exporter --textfile "$tmp" --once && grep -q '^weft_rail_bytes_total{.*nic="lo".*} [1-9]' "$tmp/weft.prom" &&
	[ "$(find "$tmp" -name 'weft.prom*' | wc -l)" = 1 ]; then
	ok "--textfile writes a file"
else
	bad "--textfile writes a file" "$(ls "$tmp")" "$(head "$tmp/weft.prom")"
fi
# All messages went over the only NIC, the eager ones, too.
none "what the NIC has sent is what the process has sent" "$(python3 - "$tmp/weft.prom" 2>&1 <<-'END'
	import re, sys
	sums = {}
	for name, labels, value in re.findall(r"(\w+)\{(.*?)\} (\S+)", open(sys.argv[1]).read()):
	    pid = re.search('pid="(\\d+)"', labels).group(1)
	    way = re.search('direction="(\\w+)"', labels)
	    if name in ("weft_rail_bytes_total", "weft_bytes_total") and way.group(1) in ("transmit", "send"):
	        sums.setdefault(pid, {})[name] = float(value)
	assert len(sums) == 2, sums
	for of in sums.values():
	    # A copy of the record is not of one instant.
	    assert 0.5 < of["weft_rail_bytes_total"] / of["weft_bytes_total"] < 2, sums
END
)"
if ! command -v promtool >/dev/null; then
	skip "promtool accepts the metrics" "promtool is not installed (Debian, Ubuntu: prometheus)"
else
	none "promtool accepts the metrics" "$(promtool check metrics <"$tmp/weft.prom" 2>&1)"
fi

# The worst peer only, and the numbers of all.
none "the numbers of a process are those of all its peers" "$(
	rm -f "$tmp"/made/*
	tests/observe/make-record "$tmp/made" $$ busy comms=16 >/dev/null
	WEFT_STATS_DIR=$tmp/made src/weft-exporter --textfile "$tmp" --once --peers 1
	for want in peers=16 process_outstanding_messages=28 process_send_connections=8; do
		grep -q "^weft_${want%=*}{.*} ${want#*=}\$" "$tmp/weft.prom" || echo "$want: $(grep "^weft_${want%=*}{" "$tmp/weft.prom")"
	done
)"

src/weft-exporter --listen 127.0.0.1:0 --peers 1 2>"$tmp/exporter" &
exporter=$!
children+=("$exporter")
for _ in {1..100}; do
	if grep -q port "$tmp/exporter" || ! kill -0 $exporter 2>/dev/null; then
		break
	fi
	sleep 0.1
done
port=$(sed -n 's/.*, port //p' "$tmp/exporter")
if [ -z "$port" ] && grep -q "without libmicrohttpd" "$tmp/exporter"; then
	skip "weft-exporter answers over HTTP" "Weft was built without libmicrohttpd"
	tap_done
fi

get() { # path: prints status and text
	python3 - "http://127.0.0.1:$port$1" <<-'END'
		import sys, urllib.request, urllib.error
		try:
		    with urllib.request.urlopen(sys.argv[1], timeout=60) as r: print(r.status, r.read().decode())
		except urllib.error.HTTPError as e: print(e.code, e.read().decode())
	END
}

text=$(get /metrics)
if [[ $text = "200 # HELP"* ]] && [ "$(grep -c '^weft_peer_bytes{' <<<"$text")" = 2 ] && [[ $(get /other) = 404* && $(get /) = 200* ]]; then
	ok "weft-exporter answers at /metrics, with one peer of each process"
else
	bad "weft-exporter answers at /metrics, with one peer of each process" "$text" "$(<"$tmp/exporter")"
fi

# Prometheus itself.
if ! command -v prometheus >/dev/null; then
	skip "Prometheus answers every query of the dashboard" "prometheus is not installed"
	tap_done
fi
free=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$tmp/prometheus.yml" <<END
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$rules"]
scrape_configs: [{job_name: weft, static_configs: [{targets: ["127.0.0.1:$port"]}]}]
END
prometheus --config.file="$tmp/prometheus.yml" --storage.tsdb.path="$tmp/data" --web.listen-address=127.0.0.1:"$free" \
	>"$tmp/prometheus.log" 2>&1 &
children+=($!)
none "Prometheus answers every query of the dashboard, and evaluates the alerts" "$(
	python3 - "$board" "http://127.0.0.1:$free" 2>&1 <<-'END'
		import json, sys, time, urllib.parse, urllib.request
		def get(path, **query):
		    with urllib.request.urlopen(sys.argv[2] + path + "?" + urllib.parse.urlencode(query), timeout=60) as r:
		        return json.load(r)["data"]
		exprs = [t["expr"] for p in json.load(open(sys.argv[1]))["panels"] for t in p["targets"]]
		exprs = [e.replace("$__rate_interval", "30s").replace("$job", ".*").replace("$host", ".*") for e in exprs]
		may_be_empty = ("cause!~", "fellows_ratio")
		left, error = exprs, None
		for _ in range(600):
		    time.sleep(0.5)
		    try:
		        left = [e for e in left if not get("/api/v1/query", query=e)["result"] and not any(m in e for m in may_be_empty)]
		        error = None
		        if not left: break
		    except OSError as e:
		        error = e
		if error: print(error)
		for e in left: print("no data:", e)
		if len(exprs) < 15: print("only", len(exprs), "queries")
		groups = get("/api/v1/rules")["groups"]
		rules = [r for g in groups for r in g["rules"]]
		if len(rules) < 9: print("only", len(rules), "rules")
		for r in rules:
		    if r["health"] == "err": print(r["name"], r.get("lastError"))
	END
)"
tap_done
