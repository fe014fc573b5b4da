# SPDX-License-Identifier: Apache-2.0
"""Weft, a NCCL net plugin over libfabric, as data of a Python package."""

import os

#: Directory of the bundle: bin, lib, share.
TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tree")


def environment():
    """Settings with which NCCL finds and uses the plugin, as a dictionary. LD_LIBRARY_PATH keeps its earlier value."""
    path = [os.path.join(TREE, "lib")] + [p for p in [os.environ.get("LD_LIBRARY_PATH")] if p]
    return {"NCCL_NET_PLUGIN": "weft", "LD_LIBRARY_PATH": ":".join(path)}
