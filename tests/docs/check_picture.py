"""The pictures of README.md are what docs/picture/make draws of the programs as they are now."""

import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree

from daemon import expect

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {"terminal.svg", "licence.svg", "rust.svg", "revisions.svg", "conformance.svg"}


def directory(place):
    return os.path.join(place.root, "docs/picture")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def check_the_pictures_are_drawn_of_the_programs_as_they_are(place):
    environment = {**os.environ, "SMCPD": place.smcpd, "SMCPCTL": place.smcpctl}
    make = [place.python, os.path.join(directory(place), "make"), "--into", place.temp]
    done = subprocess.run(make, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0, done.stdout + done.stderr)
    expect(set(os.listdir(place.temp)) == DRAWN, os.listdir(place.temp))
    for name in sorted(DRAWN):
        drawn, kept = read(place.temp, name), read(directory(place), name)
        if drawn != kept:
            pairs = zip(drawn.splitlines() + ["(end)"], kept.splitlines() + ["(end)"])
            now, before = next(pair for pair in pairs if pair[0] != pair[1])
            raise AssertionError(f"{name} is stale: run docs/picture/make\nit has {before}\nnow it is {now}")


def check_the_pictures_are_harmless(place):
    """Well-formed, small, and without anything that runs or is fetched."""
    expect({name for name in os.listdir(directory(place)) if name.endswith(".svg")} == DRAWN, os.listdir(directory(place)))
    allowed = {"svg", "g", "rect", "path", "circle", "text", "tspan", "title", "style"}
    for name in sorted(DRAWN):
        text = read(directory(place), name)
        expect(len(text.encode()) < 40_000, f"{name} has {len(text)} letters")
        root = ElementTree.fromstring(text)
        for element in root.iter():
            expect(element.tag.removeprefix(SVG) in allowed, f"{name}: {element.tag}")
            wrong = [key for key in element.attrib if key.startswith("on") or "href" in key]
            expect(not wrong, f"{name}: {wrong}")
        expect(not re.search(r"url\(|@import|<!", text), f"{name} fetches something")


def check_the_terminal_is_still_where_motion_is_not_wanted(place):
    root = ElementTree.fromstring(read(directory(place), "terminal.svg"))
    style = root.find(f"{SVG}style").text
    quiet, _, moving = style.partition("@media (prefers-reduced-motion:no-preference){")
    expect(moving and "animation" not in quiet and "@keyframes" not in quiet, quiet)
    expect("infinite" not in moving, "it never comes to rest")
    expect("@media (prefers-color-scheme:light){" in quiet, quiet)
    rows = {text.get("id"): "".join(text.itertext()) for text in root.iter(f"{SVG}text") if text.get("id")}
    for row in rows:
        expect(f"#{row}{{animation:" in moving, f"{row} has no time")
    for shown in ["$ smcpctl plugin link plugins/demo_math", "cannot divide by zero", "$ smcpctl status"]:
        expect(shown in rows.values(), rows)


def check_the_readme_shows_each_picture_and_says_what_it_is(place):
    page = read(place.root, "README.md")
    shown = {path: " ".join(words.split()) for words, path in re.findall(r"!\[([^\]]*)\]\(docs/picture/([^)]+)\)", page)}
    expect(set(shown) == DRAWN, shown)
    for name, words in shown.items():
        if name != "terminal.svg":
            label = ElementTree.fromstring(read(directory(place), name)).get("aria-label")
            expect(words == label, f"{name} says {label}, README.md says {words}")
    expect(len(shown["terminal.svg"]) > 80 and "smcpctl" in shown["terminal.svg"], shown)
