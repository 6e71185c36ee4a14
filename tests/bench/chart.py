#!/usr/bin/env python3
"""Makes docs/performance.md show a run: draws its charts, and fills in its tables, of what the run kept.

    chart.py [RUN]

RUN is what `run --json` wrote; it becomes docs/performance/run.json. Without it that file is taken as it is. The same
run gives the same charts and tables, to the letter: tests/docs/check_performance.py compares.
"""

import json
import math
import os
import sys
from xml.sax.saxutils import escape, quoteattr

HERE = os.path.dirname(os.path.abspath(__file__))
DOCS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docs")
KEPT = os.path.join(DOCS, "performance")

WIDTH = 720
STYLE = """\
text{font:13px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;fill:#24292f}
.t{font-weight:600;font-size:15px}.a{fill:#57606a;font-size:12px}.g{stroke:#d0d7de}.p{fill:#fff}
.l{fill:none;stroke-width:2.5}.c0{stroke:#0969da}.c1{stroke:#bc4c00}.c2{stroke:#1a7f37}.c3{stroke:#8250df}
.f0{fill:#0969da}.f1{fill:#bc4c00}.f2{fill:#1a7f37}.f3{fill:#8250df}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.a{fill:#9198a1}.g{stroke:#3d444d}.p{fill:#0d1117}
.c0{stroke:#58a6ff}.c1{stroke:#f0883e}.c2{stroke:#3fb950}.c3{stroke:#bc8cff}
.f0{fill:#58a6ff}.f1{fill:#f0883e}.f2{fill:#3fb950}.f3{fill:#bc8cff}}
"""


def number(value):
    """A figure as it is written beside a bar or an axis."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def place(value):
    return f"{value:.1f}".rstrip("0").rstrip(".")


def text(x, y, words, kind="", anchor="start"):
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{place(x)}" y="{place(y)}"{attributes}>{escape(words)}</text>'


def picture(title, height, parts):
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
    begin += f"role=\"img\" aria-label={quoteattr(title)}>"
    background = f'<rect class="p" width="{WIDTH}" height="{height}"/>'
    return "\n".join([begin, f"<style>{STYLE}</style>", background, text(16, 26, title, "t"), *parts, "</svg>"]) + "\n"


def bars(title, rows):
    """Each row is a name, a value and its colour; the value stands behind its bar."""
    left, top, step = 210, 48, 30
    room = WIDTH - left - 90
    most = max(value for _, value, _ in rows)
    parts = []
    for index, (name, value, colour) in enumerate(rows):
        y = top + index * step
        parts.append(text(left - 10, y + 15, name, anchor="end"))
        width = place(max(2, room * value / most))
        parts.append(f'<rect class="f{colour}" x="{left}" y="{y}" width="{width}" height="20"/>')
        parts.append(text(left + room * value / most + 8, y + 15, f"{number(value)} ms", "a"))
    return picture(title, top + len(rows) * step + 16, parts)


def ticks(most, logarithmic, least=1.0):
    if logarithmic:
        return [10.0**power for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)]
    step = 10 ** math.floor(math.log10(most / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if most / (step * factor) <= 5)
    return [step * index for index in range(math.ceil(most / step) + 1)]


def lines(title, series, across, up, by_category=False, logarithmic=False):
    """Lines over points; `by_category` puts the points at equal distances, whatever they are."""
    left, top, right, bottom, height = 70, 56, 190, 48, 360
    width, tall = WIDTH - left - right, height - top - bottom
    values = [y for one in series for _, y in one["points"]]
    marks = ticks(max(values), logarithmic, min(values))
    abscissas = sorted({x for one in series for x, _ in one["points"]})

    def at_x(x):
        share = abscissas.index(x) / (len(abscissas) - 1) if by_category else x / abscissas[-1]
        return left + width * share

    def at_y(y):
        if logarithmic:
            share = math.log10(y / marks[0]) / math.log10(marks[-1] / marks[0])
        else:
            share = y / marks[-1]
        return top + tall * (1 - share)

    parts = [text(left, top - 12, up, "a"), text(left + width, height - 10, across, "a", "end")]
    for mark in marks:
        y = place(at_y(mark))
        parts.append(f'<path class="g" d="M{left} {y}H{left + width}"/>')
        parts.append(text(left - 8, at_y(mark) + 4, number(mark), "a", "end"))
    crowded = -100.0
    for x in abscissas:
        # A number that would be written over the one before it is left out.
        if at_x(x) - crowded >= 28:
            parts.append(text(at_x(x), height - bottom + 18, number(x), "a", "middle"))
            crowded = at_x(x)
    # Names keep a line's height between them.
    ends = sorted((at_y(one["points"][-1][1]), index) for index, one in enumerate(series))
    below = -100.0
    for y, index in ends:
        below = max(y, below + 17)
        parts.append(text(left + width + 12, below + 4, series[index]["what"]))
    for index, one in enumerate(series):
        path = "L".join(f"{place(at_x(x))} {place(at_y(y))}" for x, y in one["points"])
        parts.append(f'<path class="l c{index}" d="M{path}"/>')
        for x, y in one["points"]:
            label = f"{one['what']}: {number(y)} at {number(x)}"
            circle = f'<circle class="f{index}" cx="{place(at_x(x))}" cy="{place(at_y(y))}" r="4">'
            parts.append(f"{circle}<title>{escape(label)}</title></circle>")
    # The legend's colour is a square before the name.
    below = -100.0
    for y, index in ends:
        below = max(y, below + 17)
        parts.append(f'<rect class="f{index}" x="{left + width + 4}" y="{place(below - 4)}" width="5" height="9"/>')
    return picture(title, height, parts)


def charts(run):
    """The pictures of a run, by the names of their files."""
    curves = run["curves"]
    colours = {"direct": 1, "cold": 0, "fork": 0, "spare": 0}
    latency = [(one["what"], one["p50_ms"], colours.get(one["key"], 3)) for one in curves["latency"]]
    return {
        "latency.svg": bars("One call of demo_text.echo, one each 50 ms: median", latency),
        "throughput.svg": lines(
            "Calls a second by calls outstanding", curves["throughput"], "calls outstanding", "calls a second",
            by_category=True,
        ),
        "memory.svg": lines(
            "Memory by held sessions of HTTP+SSE", curves["memory"], "sessions, each a stream and a connection", "MiB",
        ),
        "start.svg": lines(
            "From the start to the first whole list, by plugins", curves["start"], "plugins",
            "ms, each line ten times the last", by_category=True, logarithmic=True,
        ),
    }


def cells(rows):
    head, *rest = rows
    return "\n".join(["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rest]])


def tables(run):
    """The tables of the page, by the names in their marks."""
    sys.path.insert(0, HERE)
    from rows import shown

    def limit(one, name):
        return (("≥ " if one["more"] else "≤ ") + shown(one[name], one["unit"])) if one[name] is not None else ""

    def details(one):
        return ", ".join(detail(name, value) for name, value in one["details"].items() if name != "took_s")

    machine, curves = run["machine"], run["curves"]
    told = [("smcpd", f"{machine['smcpd']}, {machine['bytes']:,} bytes"),
            ("warm workers", "yes" if machine["warm_workers"] else "this build has none"),
            ("interpreter", machine["python"]),
            ("machine", f"{machine['cores']} cores, {machine['system']}, load {machine['load']} before the run"),
            ("date", machine["date"]), ("requests", f"{run['requests']['answered']:,}, {run['requests']['failed']} failed")]
    rows = [
        [one["what"], shown(one["value"], one["unit"]), limit(one, "must"), limit(one, "aim"), one["verdict"], details(one)]
        for one in run["rows"]
    ]

    def figure(one, name):
        return number(one[name]) if name in one else ""

    doors = [[one["what"], *(figure(one, name) for name in ("ping_ms", "ping_us", "list_ms", "list_us", "call_ms"))]
             for one in curves["transports"]]
    others = [[one["name"], *(figure(one, name) for name in ("ping_ms", "ping_us", "list_ms", "list_us", "call_ms"))]
              for one in curves["peers"]]
    calls = [[one["what"], figure(one, "p50_ms"), figure(one, "p99_ms")] for one in curves["latency"]]
    heads = ["", "ping, ms", "CPU, µs", "tools/list, ms", "CPU, µs", "call, ms"]
    return {
        "run": cells([["", ""], *map(list, told)]),
        "rows": cells([["what", "measured", "must", "aim", "verdict", "of"], *rows]),
        "doors": cells([heads, *doors]),
        "peers": cells([heads, *others]),
        "calls": cells([["way", "median, ms", "p99, ms"], *calls]),
        "throughput": grid("calls outstanding", curves["throughput"]),
        "memory": grid("sessions, MiB", curves["memory"]),
        "start": grid("plugins, ms", curves["start"]),
    }


def detail(name, value):
    """`direct_ms` and its value, as a person reads them; a name that is a unit alone is ours."""
    for end, unit in ("_per_s", "/s"), ("_ms", " ms"), ("_us", " µs"), ("_kib", " KiB"):
        if f"_{name}".endswith(end):
            what = f"_{name}".removesuffix(end).strip("_").replace("_", " ") or "smcpd"
            return f"{what} {number(value)}{unit}"
    return f"{name.replace('_', ' ')} {number(value)}"


def grid(corner, series):
    points = [[number(x) for x, _ in series[0]["points"]]]
    rows = [[one["what"], *(number(y) for _, y in one["points"])] for one in series]
    return cells([[corner, *points[0]], *rows])


def filled(page, run):
    """The page with its tables made anew: each stands between a mark with its name and one that ends it."""
    for name, table in tables(run).items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"docs/performance.md has no place for the table `{name}`")
        page = before + begin + table + end + after
    return page


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, words):
    with open(path, "w", encoding="utf-8") as file:
        file.write(words)


def main(words):
    kept = os.path.join(KEPT, "run.json")
    os.makedirs(KEPT, exist_ok=True)
    if words:
        write(kept, read(words[0]))
    run = json.loads(read(kept))
    for name, drawn in charts(run).items():
        write(os.path.join(KEPT, name), drawn)
    page = os.path.join(DOCS, "performance.md")
    write(page, filled(read(page), run))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(sys.argv[1:])
