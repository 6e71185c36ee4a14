#!/usr/bin/env python3
"""Runs a page of the documentation: its commands, one after the other, as whoever this is.

    page.py NAME FILE [UPDATED]

A line of an indented block that begins with `$ ` is a command; what follows up to the next one is what it printed, stdout
and stderr as they came, and `(exit status N)` where that is not 0. A difference fails, other than one of times, ids,
process ids, durations and lines of the shipped configuration. Three comments, which no reader of the page sees, say what else is done:

    <!-- file PATH -->      the fenced block below is the content of that file
    <!-- append PATH -->    it is added to that file
    <!-- wait COMMAND -->   goes on when the command succeeds, within 20 s

Prints a line for each command, `ok NAME: COMMAND` or `FAILED …`. With UPDATED, the page as it would have to be is written
there: an output that differs in nothing else keeps its times.
"""

import difflib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

# What differs from run to run.
VARYING = [
    (r"\d{8}T\d{6}Z", "TIME"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"(/etc/smcp/smcpd.toml):\d+", r"\1:LINE"),
    (r"(\"pid\": ?)\d+", r"\1PID"),
    (r"(\"(fetch|shared|build|migrate|switch|restart|health|finish|all)\": ?)\d+(\.\d+)?", r"\1SECONDS"),
]


def same(text):
    """Returns the text without what differs from run to run."""
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text


class Page:
    def __init__(self, name, path):
        self.name = name
        self.lines = path.read_text(encoding="utf-8").splitlines()
        self.at = 0
        self.new = []
        self.failed = 0

    def run(self):
        """Goes through the page, and writes it anew on the way."""
        fenced = False
        while self.at < len(self.lines):
            line = self.take()
            comment = re.fullmatch(r"<!-- (file|append|wait) (.*) -->", line)
            if line.startswith("```"):
                fenced = not fenced
            elif comment and not fenced:
                self.do(*comment.groups())
            elif line.startswith("    $ ") and not fenced:
                self.command(line)

    def take(self):
        line = self.lines[self.at]
        self.at += 1
        self.new.append(line)
        return line

    def do(self, verb, rest):
        if verb == "wait":
            self.tell(f"waits for: {rest}", self.wait(rest))
            return
        if not self.take().startswith("```"):
            raise SystemExit(f"{self.name}: no fenced block follows `{verb} {rest}`")
        body = []
        while not (line := self.take()).startswith("```"):
            body.append(line + "\n")
        # As an operator's editor does, this keeps the owner and the mode of a file that is there.
        with open(rest, "w" if verb == "file" else "a", encoding="utf-8") as file:
            file.writelines(body)

    def wait(self, command):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if subprocess.run(["bash", "-c", command], capture_output=True, timeout=60).returncode == 0:
                return None
            time.sleep(0.1)
        return ["  it did not come within 20 s"]

    def command(self, line):
        words = [line[6:]]
        while words[-1].endswith("\\"):
            words.append(self.take()[4:])
        expected, began = self.output(), time.monotonic()
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", "\n".join(words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, cwd=os.environ["HOME"],
        )
        found = done.stdout.decode(errors="replace").splitlines()
        if done.returncode:
            found.append(f"(exit status {done.returncode})")
        # An empty line would end the block for the eye.
        found = [("    " + said).rstrip() for said in found if said.strip()]
        differs = None
        if same("\n".join(found)) != same("\n".join(expected)):
            differs = list(difflib.unified_diff(expected, found, "the page", "found", lineterm="", n=1))
        self.new += expected if differs is None else found
        took = time.monotonic() - began
        self.tell("$ " + words[0] + (f" ({took:.0f} s)" if took >= 1 else ""), differs)

    def output(self):
        begin = self.at
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not line.startswith("    ") or line.startswith("    $ "):
                break
            self.at += 1
        return self.lines[begin : self.at]

    def tell(self, what, differs):
        print(f"{'FAILED' if differs else 'ok    '} {self.name}: {what}", *(f"  | {line}" for line in differs or ()), sep="\n")
        self.failed += bool(differs)
        with open("/rig/.counted", "a", encoding="utf-8") as file:
            file.write("failed\n" if differs else "passed\n")


def main():
    name, path, *updated = sys.argv[1:]
    page = Page(name, Path(path))
    os.environ.setdefault("TERM", "dumb")
    page.run()
    if updated:
        Path(updated[0]).parent.mkdir(parents=True, exist_ok=True)
        Path(updated[0]).write_text("\n".join(page.new) + "\n", encoding="utf-8")
    return 1 if page.failed else 0


if __name__ == "__main__":
    sys.exit(main())
