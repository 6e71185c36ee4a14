"""Counts the checks that the conformance suite wrote: `count.py RESULTS REVISION=STATUS...`.

A failed check counts, scored or not, and so does a revision whose run ended badly without one, and a scenario that its
log names and that left no checks. Warnings and what the suite skipped are shown and do not count.
"""

import glob
import json
import os
import re
import sys

STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[-\dZ]+$")

WORDS = {"FAILURE": "FAILED ", "WARNING": "warning", "SKIPPED": "skipped"}


def scenarios(directory):
    """Yields each scenario of a revision with its checks."""
    for path in sorted(glob.glob(os.path.join(directory, "server-*", "checks.json"))):
        name = STAMP.sub("", os.path.basename(os.path.dirname(path)))
        with open(path, encoding="utf-8") as file:
            yield name[len("server-") :], json.load(file)


def started(log):
    with open(log, encoding="utf-8", errors="replace") as file:
        return re.findall(r"^=== Running scenario: (\S+) ===", file.read(), re.M)


def figure():
    """Returns how many checks docs/protocol.md says have passed; README.md has a badge of it."""
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/protocol.md")
    with open(page, encoding="utf-8") as file:
        found = re.search(r"It ends with\s+`(\d+) passed, 0 failed`", file.read())
    return int(found[1]) if found else None


def main(results, runs):
    counts = dict.fromkeys(("SUCCESS", *WORDS), 0)

    def tell(status, revision, scenario, check, message):
        counts[status] += 1
        if status != "SUCCESS":
            print(WORDS[status], " · ".join((revision, scenario, check)))
            print("       ", str(message or "no reason given")[:1000].replace("\n", "\n        "))

    for run in runs:
        revision, _, status = run.partition("=")
        failed, seen = counts["FAILURE"], set()
        for scenario, checks in scenarios(os.path.join(results, revision)):
            seen.add(scenario)
            for check in checks:
                if check["status"] in counts:
                    tell(check["status"], revision, scenario, check["id"], check.get("errorMessage"))
        for scenario in started(os.path.join(results, revision + ".log")):
            if scenario not in seen:
                tell("FAILURE", revision, scenario, "no checks", "the suite began it and wrote down no checks of it")
        if not seen:
            tell("FAILURE", revision, "suite", "no scenario", "the suite ran nothing")
        if status != "0" and counts["FAILURE"] == failed:
            tell("FAILURE", revision, "suite", "exit status", f"the suite ended with {status}")
        print(f"{revision}: {len(seen)} scenarios")
    if counts["SUCCESS"] != (told := figure()):
        message = f"the page has {told} passed, these are {counts['SUCCESS']}: mend it, and draw the badge (docs/picture/make)"
        tell("FAILURE", "docs/protocol.md", "the figure", "passed", message)
    print(f"{counts['WARNING']} warnings, {counts['SKIPPED']} skipped by the suite")
    if counts["FAILURE"]:
        print(f"every check and the daemon's log are kept in {os.path.relpath(results)}")
    print(f"{counts['SUCCESS']} passed, {counts['FAILURE']} failed")
    return 1 if counts["FAILURE"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
