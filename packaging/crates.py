"""The crates that end up in the programs, as `cargo metadata` says it; for `licences` and `sbom`."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("smcpd", "smcpctl")


def metadata():
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def linked(metadata):
    """Each package by its id, with the ids of those that it is linked with: no tests and no build scripts."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    found, todo = {}, [id for id, package in packages.items() if package["name"] in PROGRAMS]
    while todo:
        id = todo.pop()
        if id not in found:
            needs = [d["pkg"] for d in nodes[id]["deps"] if any(kind["kind"] is None for kind in d["dep_kinds"])]
            found[id] = (packages[id], needs)
            todo += needs
    return found


def is_foreign(package):
    """Not of this workspace."""
    return package["source"] is not None
