#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks manifests against the models of Kubernetes' own Python client (python3-kubernetes), which are made from its API.

    models.py FILE.yaml...        prints one line for each fault; exit status 1 if there is any

Services, Jobs and DaemonSets are checked whole; of kinds that are not Kubernetes' own, their templates of jobs and pods
(rules.json).
"""
import datetime
import os
import re
import sys

import yaml
from kubernetes import client

from check import RULES, find

PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object, "datetime": datetime.datetime}


def check_value(value, of, where):
    """`of` is a type as the models write it: str, list[V1Container], dict(str, str), V1PodSpec."""
    inner = re.match(r"(list|dict)[\[(](?:str, )?(.*)[\])]$", of)
    if inner:
        kind, of = inner.groups()
        if not isinstance(value, list if kind == "list" else dict):
            return [f"{where}: not a {kind}"]
        items = enumerate(value) if kind == "list" else value.items()
        return [fault for key, item in items for fault in check_value(item, of, f"{where}.{key}")]
    if of not in PLAIN:
        return check_object(value, getattr(client, of), where)
    # a quantity (str) may be a number
    amount = of == "str" and re.search(r"\.(limits|requests)\.", where) and isinstance(value, int)
    good = isinstance(value, PLAIN[of]) and (of != "int" or not isinstance(value, bool))
    return [] if good or amount else [f"{where}: {value!r} is no {of}"]


def check_object(value, model, where):
    if not isinstance(value, dict):
        return [f"{where}: not a {model.__name__}"]
    types = {json: model.openapi_types[name] for name, json in model.attribute_map.items()}
    faults = [f"{where}: {model.__name__} has no field {field}" for field in value if field not in types]
    known = {field: item for field, item in value.items() if field in types and item is not None}
    for field, item in known.items():
        if types[field] != "object":
            faults += check_value(item, types[field], f"{where}.{field}")
    try:  # the model knows which fields must be there, and values of an enumeration
        model(**{name: known.get(json) for name, json in model.attribute_map.items()})
    except ValueError as e:
        faults.append(f"{where}: {e}")
    return faults


def check_document(d, where):
    kind = f"{d['apiVersion']}/{d['kind']}"
    own = re.match(r"(?:(?:apps|batch)/)?v1/(\w+)$", kind)
    if own:
        return check_object(d, getattr(client, "V1" + own.group(1)), f"{where}: {d['kind']}")
    faults = []
    for key, model in (("templates", client.V1PodTemplateSpec), ("jobs", client.V1JobTemplateSpec)):
        for path in RULES["kinds"][kind].get(key, []):
            faults += [fault for t in find(d, path) for fault in check_object(t, model, f"{where}: {d['kind']}: {path}")]
    return faults


def main():
    faults = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as f:
            for d in filter(None, yaml.safe_load_all(f)):
                faults += check_document(d, os.path.basename(path))
    print("\n".join(faults), end="\n" if faults else "")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
