#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Grafana's dashboard without Grafana: it is as Grafana's published model wants it (panels, grid, variables, data sources,
# units), and its queries and those of the alerts ask only for metrics and labels that weft-exporter has.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
src=${TEST_SRCDIR:?run by make check}
cd "${TEST_BUILDDIR:?run by make check}" || exit
if ! command -v python3 >/dev/null; then
	skip "the dashboard" "python3 is not installed"
	tap_done
fi
tmp=$(mktemp -d)
sleep 3600 &
alive=$!
trap 'kill $alive 2>/dev/null; rm -rf "$tmp"' EXIT
export WEFT_STATS_DIR=$tmp/records
mkdir "$WEFT_STATS_DIR"
tests/observe/make-record "$WEFT_STATS_DIR" $alive receiver-late >/dev/null
src/weft-exporter --textfile "$tmp" --once

cat >"$tmp/model.py" <<'END'
import json, re, sys
board = json.load(open(sys.argv[1]))
TYPES = {"stat", "gauge", "bargauge", "timeseries", "barchart", "table", "heatmap", "histogram", "state-timeline", "text", "row"}
UNITS = {"none", "short", "percent", "percentunit", "s", "ms", "µs", "ns", "bytes", "decbytes", "Bps", "binBps", "bps", "ops", "reqps", "cps"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
def wrong(*what): print(*what)

if not re.fullmatch(r"[A-Za-z0-9_-]{8,40}", board["uid"]): wrong("uid", board["uid"])
if board.get("id") is not None: wrong("an id belongs to one Grafana only")
for key, kind in (("title", str), ("schemaVersion", int), ("version", int), ("panels", list), ("tags", list), ("editable", bool)):
    if not isinstance(board[key], kind): wrong(key, board[key])
if not 36 <= board["schemaVersion"] <= 41: wrong("schemaVersion", board["schemaVersion"])
if not re.fullmatch(r"\d+[smhd]", board["refresh"]) or set(board["time"]) != {"from", "to"}: wrong("refresh or time")

names = set()
for v in board["templating"]["list"]:
    query = v["query"] if isinstance(v["query"], str) else v["query"]["query"]
    if v["type"] == "datasource":
        if query != "prometheus" or v["name"] != "datasource": wrong("variable", v)
    elif v["type"] == "query":
        if v["datasource"] != SOURCE or v["refresh"] not in (1, 2) or v["sort"] not in range(7): wrong("variable", v["name"])
        if not re.fullmatch(r'label_values\(weft_\w+(\{\w+=~"\$\w+"\})?, \w+\)', query): wrong("query", query)
    else: wrong("type of variable", v["name"], v["type"])
    for used in re.findall(r"\$\{?(\w+)", query):
        if used not in names: wrong("variable", v["name"], "uses", used, "before it is known")
    names.add(v["name"])

taken, ids, used = {}, set(), set()
for p in board["panels"]:
    title, at = p["title"], p["gridPos"]
    if p["id"] in ids or not isinstance(p["id"], int): wrong("id of", title)
    ids.add(p["id"])
    if p["type"] not in TYPES: wrong("type of", title, p["type"])
    if not (0 <= at["x"] and at["x"] + at["w"] <= 24 and at["w"] > 0 and at["h"] > 0 and at["y"] >= 0): wrong("grid of", title, at)
    for x in range(at["x"], at["x"] + at["w"]):
        for y in range(at["y"], at["y"] + at["h"]):
            if (x, y) in taken: wrong(title, "lies on", taken[x, y])
            taken[x, y] = title
    if set(p["fieldConfig"]) != {"defaults", "overrides"} or not isinstance(p["options"], dict): wrong("options of", title)
    units = [p["fieldConfig"]["defaults"].get("unit"), p["options"].get("yAxis", {}).get("unit")]
    for unit in units:
        if unit is not None and unit not in UNITS: wrong("unit of", title, unit)
    if p["datasource"] != SOURCE or not p["targets"]: wrong("data source of", title)
    if len({t["refId"] for t in p["targets"]}) != len(p["targets"]): wrong("refIds of", title)
    for t in p["targets"]:
        if t["datasource"] != SOURCE: wrong("data source of a target of", title)
        form = t.get("format", "time_series")
        if form != {"table": "table", "heatmap": "heatmap"}.get(p["type"], "time_series"): wrong("format of", title, form)
        if (form == "table") != t.get("instant", False): wrong("instant of", title)
        for name in re.findall(r"\$\{?(\w+)", t["expr"]):
            used.add(name)
            if name not in names | {"__rate_interval"}: wrong("variable in", title, name)
        # Of an aggregate, only the labels that it is by are left.
        by = re.search(r"by \(([\w, ]+)\)", t["expr"])
        for name in re.findall(r"\{\{(\w+)\}\}", t["legendFormat"]):
            if by and name not in by[1].split(", "): wrong("legend of", title, name)
if len(ids) < 15: wrong("only", len(ids), "panels")
for name in names - used - {"datasource"}: wrong("variable", name, "is not used")
END
none "the dashboard is as Grafana's model wants it" "$(python3 "$tmp/model.py" "$src/contrib/grafana/weft.json" 2>&1)"

cat >"$tmp/queries.py" <<'END'
import json, re, sys
labels = {}
for line in open(sys.argv[3]):
    m = re.match(r"(weft_\w+)(?:\{(.*)\})? ", line)
    if m: labels.setdefault(m[1], set()).update(re.findall(r'(\w+)="', m[2] or ""))
board, rules = json.load(open(sys.argv[1])), open(sys.argv[2]).read()
queries = [t["expr"] for p in board["panels"] for t in p["targets"]]
queries += [v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"]
scraped = {"instance", "job"} # Prometheus adds them
asked = 0
for q in queries + [rules]:
    for name, matchers in re.findall(r"(?<![\w:])(weft_\w+)(?:\{([^}]*)\})?", q):
        asked += 1
        if name not in labels: print("weft-exporter has no", name)
        for label in re.findall(r"(\w+)\s*[=!]~?", matchers):
            if label not in labels.get(name, ()): print(name, "has no label", label)
every = set().union(*labels.values()) | scraped
for q in queries + [rules]:
    for names in re.findall(r"(?:by|on) \(([\w, ]*)\)", q) + re.findall(r"\$labels\.(\w+)", q):
        for label in filter(None, names.split(", ")):
            if label not in every: print("no metric has the label", label)
causes = set(re.findall(r'cause="(\w+)"', open(sys.argv[3]).read()))
known = causes | {"fine", "idle", "closed", "connecting", "behind", "both_wait", "host_busy"}
for q in queries + [rules]:
    for value in re.findall(r'cause[=!]~?"([^"]+)"', q):
        for cause in value.split("|"):
            if cause not in known: print("there is no cause", cause)
if asked < 25: print("only", asked, "metrics in the queries")
END
none "its queries and the alerts ask for what weft-exporter has" "$(python3 "$tmp/queries.py" "$src/contrib/grafana/weft.json" \
	"$src/contrib/prometheus/weft.rules.yml" "$tmp/weft.prom" 2>&1)"

# 16 connections that wait 60 % of the time each are a part of 0.6, as a rule and in the panel.
cat >"$tmp/part.py" <<'END'
import json, sys
panels = [t["expr"] for p in json.load(open(sys.argv[1]))["panels"] for t in p["targets"] if "wait for receivers" in p["title"]]
process = 'instance="n1",host="n1",pid="7",rank="0",job_id="4711"'
print(f"""rule_files: ["{sys.argv[2]}"]
evaluation_interval: 15s
tests:
- interval: 15s
  input_series:
  - series: 'weft_wait_seconds_sum{{{process},direction="send",wait="peer"}}'
    values: 0+144x80
  - series: 'weft_process_send_connections{{{process}}}'
    values: 16+0x80
  promql_expr_test:""")
for expr in ["weft:receiver_wait:ratio5m"] + panels:
    expr = expr.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$host", ".*")
    print(f"""  - eval_time: 15m
    expr: {json.dumps(f"count(({expr}) > 0.59 < 0.61)")}
    exp_samples: [{{labels: "{{}}", value: 1}}]""")
END
if ! command -v promtool >/dev/null; then
	skip "the part of the time that ranks wait is at most 1" "promtool is not installed (Debian, Ubuntu: prometheus)"
else
	none "the part of the time that ranks wait is at most 1" "$(python3 "$tmp/part.py" "$src/contrib/grafana/weft.json" \
		"$(cd "$src" && pwd)/contrib/prometheus/weft.rules.yml" >"$tmp/part.yml" && promtool test rules "$tmp/part.yml" 2>&1 |
		grep -v -e '^Unit Testing' -e SUCCESS)"
fi

# The test can fail: one fault in a copy, one complaint.
faults=0
broken() { # what python does to the board
	python3 -c "import json, sys; d = json.load(open(sys.argv[1])); p = d['panels'][7]; $1; json.dump(d, open(sys.argv[2], 'w'))" \
		"$src/contrib/grafana/weft.json" "$tmp/broken.json"
	[ -n "$(python3 "$tmp/model.py" "$tmp/broken.json" 2>&1
		python3 "$tmp/queries.py" "$tmp/broken.json" "$src/contrib/prometheus/weft.rules.yml" "$tmp/weft.prom" 2>&1)" ] ||
		{ faults=$((faults + 1)) && diag "not noticed: $1"; }
}
broken "p['gridPos']['x'] = 13"
broken "p['gridPos']['y'] -= 1"
broken "p['id'] = 1"
broken "p['type'] = 'timeserie'"
broken "p['fieldConfig']['defaults']['unit'] = 'Byteps'"
broken "p['targets'][0]['datasource'] = {'type': 'prometheus', 'uid': 'mine'}"
broken "p['targets'][0]['expr'] = 'sum(weft_rail_bytes)'"
broken "p['targets'][0]['expr'] = p['targets'][0]['expr'].replace('direction', 'way')"
broken "p['targets'][0]['expr'] = p['targets'][0]['expr'].replace('\$host', '\$node')"
broken "d['templating']['list'].reverse()"
broken "d['templating']['list'][1]['query']['query'] = 'label_values(job_id)'"
if [ $faults = 0 ]; then ok "faults in the dashboard are noticed"; else bad "faults in the dashboard are noticed"; fi
tap_done
