#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks manifests for Kubernetes without a cluster: fields by version and kind (rules.json), and what belongs together.

    check.py FILE.yaml...        prints one line for each fault; exit status 1 if there is any
"""
import json
import os
import re
import sys

import yaml

RULES = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.json"), encoding="utf-8"))


class Loader(yaml.SafeLoader):
    """A mapping with the same key twice is a fault."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"the key {key.value} is there twice, line {key.start_mark.line + 1}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def find(node, path):
    """All values at a path such as spec.jobs.*.template; * is each element."""
    nodes = [node]
    for part in path.split("."):
        following = []
        for n in nodes:
            if part == "*":
                following += list(n.values()) if isinstance(n, dict) else list(n or [])
            elif isinstance(n, dict) and part in n:
                following.append(n[part])
        nodes = following
    return nodes


def unknown(node, known, where):
    return [f"{where}: the field {field} is unknown" for field in node if field not in known]


def labels_of(node):
    return (node.get("metadata") or {}).get("labels") or {}


def is_extended(resource):
    """Kubernetes gives devices and huge pages as a whole: their request must equal the limit."""
    return "/" in resource or resource.startswith("hugepages-")


def check_resources(container, where):
    resources = container.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    faults = unknown(resources, ("requests", "limits", "claims"), where)
    if not resources:
        return [f"{where}: no resources"]
    for name, amount in list(requests.items()) + list(limits.items()):
        if not re.match(RULES["quantity"], str(amount)):
            faults.append(f"{where}: {name}: {amount} is not an amount")
        if is_extended(name) and requests.get(name, limits.get(name)) != limits.get(name):
            faults.append(f"{where}: the request of {name} is not its limit")
    if any(is_extended(n) for n in limits) and not {"cpu", "memory"} & set(limits):
        faults.append(f"{where}: devices or huge pages without cpu or memory")
    return faults


def check_container(container, volumes, where):
    faults = unknown(container, RULES["container"], where)
    faults += [f"{where}: no {field}" for field in ("name", "image") if not container.get(field)]
    if not all(isinstance(word, str) for word in (container.get("command") or []) + (container.get("args") or [])):
        faults.append(f"{where}: a word of the command is not text")
    for mount in container.get("volumeMounts") or []:
        faults += unknown(mount, RULES["mount"], where)
        if mount.get("name") not in volumes:
            faults.append(f"{where}: the mount {mount.get('name')} has no volume")
        if not str(mount.get("mountPath", "")).startswith("/"):
            faults.append(f"{where}: the mount {mount.get('name')} has no absolute path")
    for variable in container.get("env") or []:
        if "valueFrom" not in variable and not isinstance(variable.get("value"), str):
            faults.append(f"{where}: the value of {variable.get('name')} is not text")
    return faults + check_resources(container, where)


def check_health(pod, where):
    """A pod with EFA devices has the health check, with as many of them; the reason of a failure must be seen."""
    faults = []
    efa = [(c.get("resources") or {}).get("limits", {}).get("vpc.amazonaws.com/efa") for c in pod.get("containers") or []]
    checks = [c for c in pod.get("initContainers") or [] if "--require" in (c.get("command") or [])]
    if any(efa) and not checks:
        faults.append(f"{where}: devices without a health check")
    for c in checks:
        limits = (c.get("resources") or {}).get("limits", {})
        requirement = c["command"][c["command"].index("--require") + 1]
        nics = re.search(r"nics=(\d+)", requirement)
        if c.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            faults.append(f"{where}: the health check's reason is not shown (terminationMessagePolicy)")
        if nics and int(nics.group(1)) != limits.get("vpc.amazonaws.com/efa"):
            faults.append(f"{where}: the health check requires {nics.group(1)} NICs of {limits.get('vpc.amazonaws.com/efa')}")
        if limits.get("nvidia.com/gpu") != max((x.get("resources") or {}).get("limits", {}).get("nvidia.com/gpu", 0)
                                               for x in pod["containers"]):
            faults.append(f"{where}: the health check has other GPUs than the job")
    return faults


def check_pod(template, rule, where):
    pod = template.get("spec") or {}
    faults = unknown(pod, RULES["pod"], where)
    volumes = {}
    for volume in pod.get("volumes") or []:
        faults += unknown(volume, RULES["volume"], where)
        volumes[volume.get("name")] = len(volume)
    faults += [f"{where}: the volume {name} has no source" for name, fields in volumes.items() if fields != 2]
    containers = (pod.get("initContainers") or []) + (pod.get("containers") or [])
    names = [c.get("name") for c in containers]
    if not pod.get("containers"):
        faults.append(f"{where}: no containers")
    if len(set(names)) != len(names):
        faults.append(f"{where}: two containers have the same name")
    used = set()
    for c in containers:
        faults += check_container(c, volumes, f"{where}: {c.get('name')}")
        used |= {m.get("name") for m in c.get("volumeMounts") or []}
    faults += [f"{where}: the volume {name} is not mounted" for name in volumes if name not in used]
    if "restart" in rule and pod.get("restartPolicy", "Always") not in rule["restart"]:
        faults.append(f"{where}: restartPolicy is not one of {rule['restart']}")
    for terms in find(pod, "affinity.*.requiredDuringSchedulingIgnoredDuringExecution.*"):
        selected = terms.get("labelSelector", {}).get("matchLabels", {})
        if not selected.items() <= labels_of(template).items():
            faults.append(f"{where}: the affinity selects other pods")
    return faults + check_health(pod, where)


def check_labels(document, where):
    faults = []
    for labels in find(document, "metadata.labels") + find(document, "spec.template.metadata.labels"):
        for key, value in (labels or {}).items():
            if not re.match(RULES["label"], key) or not isinstance(value, str):
                faults.append(f"{where}: {key}: {value} is not a label")
    return faults


def check_together(documents, where):
    """Selectors find pods, services the pods' subdomain, monitors a port."""
    templates = [t for d, rule in documents for path in rule.get("templates", []) for t in find(d, path)]
    faults = []
    for d, _ in documents:
        kind, spec = d["kind"], d.get("spec") or {}
        selector = spec.get("selector") or {}
        selector = selector if kind == "Service" else selector.get("matchLabels")
        if selector and not any(selector.items() <= labels_of(t).items() for t in templates):
            faults.append(f"{where}: the selector of {kind} {d['metadata']['name']} finds no pod")
        for endpoint in spec.get("podMetricsEndpoints") or []:
            ports = find(templates, "*.spec.containers.*.ports.*.name")
            if endpoint.get("port") not in ports:
                faults.append(f"{where}: no pod has the port {endpoint.get('port')}")
        if kind == "Job" and spec.get("completionMode") == "Indexed":
            services = [s["metadata"]["name"] for s, _ in documents if s["kind"] == "Service" and s["spec"].get("clusterIP") == "None"]
            if spec["template"]["spec"].get("subdomain") not in services:
                faults.append(f"{where}: the subdomain of {d['metadata']['name']} is no headless service")
    for job in find([d for d, _ in documents], "*.spec") + find([d for d, _ in documents], "*.spec.replicatedJobs.*.template.spec"):
        sizes = [e.get("value") for e in find(job, "template.spec.containers.*.env.*") if e.get("name") == "WORLD_SIZE"]
        if job.get("completionMode") == "Indexed" and (sizes != [str(job.get("completions"))] or job["completions"] != job["parallelism"]):
            faults.append(f"{where}: WORLD_SIZE, completions and parallelism are not one number")
    return faults


def check_file(path):
    where = os.path.basename(path)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    try:
        documents = [d for d in yaml.load_all(text, Loader) if d]
    except yaml.YAMLError as e:
        return [f"{where}: {e}"]
    faults = [] if "never run on a cluster" in re.sub(r"\n# ?", " ", text) else [f"{where}: it doesn't say that it was never run on a cluster"]
    known = []
    for d in documents:
        kind = f"{d.get('apiVersion')}/{d.get('kind')}"
        rule = RULES["kinds"].get(kind)
        at = f"{where}: {d.get('kind')}"
        if not rule:
            faults.append(f"{at}: {kind} is unknown")
            continue
        missing = [f"{at}: no {field}" for field in rule["required"] if not find(d, field)]
        faults += missing + unknown(d, ("apiVersion", "kind", "metadata", "spec"), at) + unknown(d.get("spec") or {}, rule["spec"], at)
        if not re.match(RULES["name"], (d.get("metadata") or {}).get("name", "")):
            faults.append(f"{at}: its name is not a DNS label")
        for template_path in rule.get("templates", []):
            for template in find(d, template_path):
                faults += check_pod(template, rule, at)
        faults += check_labels(d, at)
        if not missing:
            known.append((d, rule))
    return faults + check_together(known, where)


def main():
    faults = [fault for path in sys.argv[1:] for fault in check_file(path)]
    print("\n".join(faults), end="\n" if faults else "")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
