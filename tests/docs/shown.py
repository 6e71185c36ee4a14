"""Calls that a page shows in indented blocks, with their answers.

A shown answer may be wrapped, and `…` in it stands for anything. What differs from run to run (times, ids of releases,
ports) has one name before it is compared.
"""

import json
import re
import shlex
import time

from daemon import expect

VARIES = [
    (r"\d{8}T\d{6}Z-[0-9a-f]{12}", "RELEASE"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r'"revision": "[0-9a-f]{8,40}…?"', '"revision": "REVISION"'),
    (r'("(?:schedule_id|id)": )\d+', r"\g<1>1"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r'("(?:fetch|all)": )[0-9.]+', r"\g<1>1.0"),
]


def shown(page):
    """Yields the command lines of a page's transcripts, each with the answer that is shown in one line."""
    command, answer = None, []
    for line in [*page.splitlines(), ""]:
        inside = line.startswith("    ")
        if command is not None and (not inside or line.startswith("    $ ")):
            yield command, " ".join(answer)
            command, answer = None, []
        if line.startswith("    $ "):
            command = line[6:]
        elif inside and command is not None:
            answer.append(line.strip())


def fits(pattern, text):
    """Compares what is shown with what came."""
    for what, word in VARIES:
        pattern, text = re.sub(what, word, pattern), re.sub(what, word, text)
    text = " ".join(text.split())
    parts = [re.escape(part) for part in " ".join(pattern.split()).split("…")]
    return re.fullmatch(".*".join(parts), text) is not None


def play(daemon, page, before, adapted=lambda text: text):
    """Runs the calls of a page. `before[command]` is done first; a command is named by its words before the first `=`."""
    count = 0
    for line, answer in shown(page):
        words = shlex.split(adapted(line))
        expect(words[:2] == ["smcpctl", "call"], line)
        before.get(words[2].partition(".")[2], lambda: None)()
        done = daemon.ctl(*words[1:], "--quiet")
        expect(fits(answer, done.stdout), f"for {line}\n{done.stdout}{done.stderr}\nand the page has\n{answer}")
        expect(done.returncode == (0 if answer.startswith("{") else 10), (line, done.returncode))
        count += 1
    return count


def described(daemon):
    """Waits until every plugin is described; early clients get what there is."""
    deadline = time.monotonic() + 60
    while True:
        state = json.loads(daemon.request("GET", "/health")[2])["plugins"]
        if state["pending"] == 0:
            expect(state["failed"] == 0, state)
            return
        expect(time.monotonic() < deadline, state)
        time.sleep(0.1)
