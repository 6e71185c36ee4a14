"""docs/performance.md: its tables and charts are those of the run that lies beside it, and its commands are there."""

import importlib
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from daemon import expect

SVG = "{http://www.w3.org/2000/svg}"


def module(place, name):
    """A module of tests/bench."""
    directory = os.path.join(place.root, "tests/bench")
    if directory not in sys.path:
        sys.path.append(directory)
    return importlib.import_module(name)


def kept(place, *path):
    with open(os.path.join(place.root, "docs", *path), encoding="utf-8") as file:
        return file.read()


def the_run(place):
    return json.loads(kept(place, "performance/run.json"))


def check_the_tables_are_those_of_the_run(place):
    page = kept(place, "performance.md")
    filled = module(place, "chart").filled(page, the_run(place))
    for now, before in zip(filled.splitlines(), page.splitlines()):
        expect(now == before, f"run tests/bench/chart.py: the page has\n{before}\nthe run says\n{now}")
    expect(filled == page, "a page of another length: run tests/bench/chart.py")


def check_the_charts_are_drawn_of_the_run(place):
    drawn = module(place, "chart").charts(the_run(place))
    directory = os.path.join(place.root, "docs/performance")
    expect({name for name in os.listdir(directory) if name.endswith(".svg")} == set(drawn), os.listdir(directory))
    page = kept(place, "performance.md")
    for name, picture in drawn.items():
        expect(picture == kept(place, "performance", name), f"{name} is stale: run tests/bench/chart.py")
        expect(f"](performance/{name})" in page, f"the page does not show {name}")
        expect(len(picture.encode()) < 20_000, f"{name} has {len(picture)} letters")


def check_the_charts_are_harmless_and_whole(place):
    """Nothing that runs or is fetched, nothing outside of the picture, and a value for every bar and point."""
    run = the_run(place)
    for name, picture in module(place, "chart").charts(run).items():
        root = ElementTree.fromstring(picture)
        kinds = {element.tag.removeprefix(SVG) for element in root.iter()}
        expect(kinds <= {"svg", "style", "rect", "path", "circle", "title", "text"}, kinds)
        expect("prefers-color-scheme:dark" in picture and not re.search(r"url\(|@import|<!|href", picture), name)
        height = float(root.get("height"))
        for element in root.iter():
            across = float(element.get("x") or element.get("cx") or 0)
            down = float(element.get("y") or element.get("cy") or 0)
            expect(0 <= across <= 720 and 0 <= down <= height, (name, element.attrib))
        curve = run["curves"][name.removesuffix(".svg")]
        if name == "latency.svg":
            bars = [bar for bar in root.iter(f"{SVG}rect") if bar.get("class") != "p"]
            expect(len(bars) == len(curve), (name, len(bars)))
        else:
            points = sum(len(one["points"]) for one in curve)
            expect(len(list(root.iter(f"{SVG}circle"))) == points, (name, points))


def check_the_run_is_a_full_one_and_every_target_is_in_it(place):
    run = the_run(place)
    expect(not run["short"] and run["samples"] >= 30, (run["short"], run["samples"]))
    expect(run["requests"]["failed"] == run["requests"]["misdelivered"] == 0, run["requests"])
    expect(run["requests"]["answered"] > 100_000, run["requests"])
    rows = module(place, "rows")
    found = {one["key"]: one for one in run["rows"]}
    expect(list(found) == [row.key for row in rows.ROWS], list(found))
    for row in rows.ROWS:
        one = found[row.key]
        must, beside = row.must, one["details"]
        # What a cold call may cost depends on the direct run beside it, and a p99 on the bare server's in the same load.
        if row.key == "cold_call":
            must = max(1.0, 0.03 * beside["direct_ms"])
        elif row.key == "under_load":
            must = max(20, 1.25 * beside["bare_p99_ms"] / beside["unloaded_p50_ms"])
        expect(abs(one["must"] - must) <= 0.001 * must, (row.key, one["must"], must))
        again = rows.judge(row, {"value": one["value"], "must": one["must"]}, run["machine"]["warm_workers"])
        expect(again["verdict"] == one["verdict"] and again["aim"] == one["aim"], (one, again))


def check_its_commands_and_options_are_there(place):
    page = kept(place, "performance.md") + kept(place, "../tests/bench/README.md")
    program = os.path.join(place.root, "tests/bench/run")
    done = subprocess.run([place.python, program, "--help"], capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0, done.stderr)
    named = set(re.findall(r"--(?:short|json|fastmcp|peer)\b", page))
    expect(named == {"--short", "--json", "--fastmcp", "--peer"} and all(word in done.stdout for word in named), named)
    for path in re.findall(r"^    (tests/bench/\S+)", page, re.MULTILINE):
        expect(os.access(os.path.join(place.root, path), os.X_OK), path)
    done = subprocess.run([place.python, program, "--short", "nonsense"], capture_output=True, text=True, timeout=60)
    expect(done.returncode == 2 and "no such row: nonsense" in done.stderr, done)
    for name in re.findall(r"`([a-z_]+\.py)`", kept(place, "../tests/bench/README.md")):
        expect(os.path.isfile(os.path.join(place.root, "tests/bench", name)), name)
