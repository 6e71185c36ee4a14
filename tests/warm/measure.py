"""Measures a call cold, as a fork and as a spare, interleaved: medians, ratios, and processor time a call.

    PYTHON tests/warm/measure.py [--rounds N] [--python PATH]

A call is counted from the start of sending it to the end of stdout and stderr; a spare is ready before, as the daemon
has it. `handed` is from the call's sending to `running`. Processor time is all of the child's own, the preparing
included, and for a fork or a spare also the parent's share of forking it.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

import driver

IMPORTING = """import time
end = time.process_time() + 0.5
while time.process_time() < end:  # stands for imports that take half a second
    pass
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--message")
print(parser.parse_args().message)
"""


def used():
    """Returns the processor time of all children reaped so far."""
    times = os.times()
    return times.children_user + times.children_system


def of(pid):
    """Returns the processor time of a running process and of the children it has reaped."""
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def measure(python, script, arguments, rounds, pause):
    variables = {"SMCP_CALL_ID": "m"}
    found = {kind: [] for kind in ("cold", "fork", "spare", "handed")}
    cost = dict.fromkeys(("cold", "fork", "spare"), 0.0)
    with driver.Parent(python, script) as parent:
        for _ in range(rounds):
            before, at = used(), time.perf_counter()
            driver.run_cold(python, script, arguments, variables)
            found["cold"].append(time.perf_counter() - at)
            cost["cold"] += used() - before
            for kind in ("fork", "spare"):
                before, parent_before = used(), of(parent.pid)
                at = time.perf_counter()
                with parent.request("F" if kind == "fork" else "S") as child:
                    if kind == "spare":
                        child.until("waiting")
                        time.sleep(pause)
                        at = time.perf_counter()
                    out, err = child.start(arguments, variables)
                    child.until("running")
                    if kind == "spare":
                        found["handed"].append(time.perf_counter() - at)
                    driver.gather([out, err])
                    found[kind].append(time.perf_counter() - at)
                    driver.await_exit(child.pid)
                    os.close(out)
                    os.close(err)
                cost[kind] += used() - before + of(parent.pid) - parent_before
    return {kind: statistics.median(times) for kind, times in found.items()}, {
        kind: total / rounds for kind, total in cost.items()
    }


def show(title, medians, costs):
    print(title)
    for kind in ("cold", "fork", "spare", "handed"):
        ratio = medians["cold"] / medians[kind]
        cpu = "%8.2f ms CPU" % (costs[kind] * 1000) if kind in costs else ""
        print("  %-7s %8.2f ms  1/%-6.1f%s" % (kind, medians[kind] * 1000, ratio, cpu))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    driver.adopt()
    print("python %s, load %.1f" % (options.python, os.getloadavg()[0]))
    echo = os.path.join(driver.ROOT, "plugins", "demo_text", "cli.py")
    show("demo_text echo", *measure(options.python, echo, ["echo", "--message", "hi"], options.rounds, 0.002))
    with tempfile.TemporaryDirectory() as directory:
        script = os.path.join(directory, "cli.py")
        with open(script, "w") as file:
            file.write(IMPORTING)
        rounds = max(3, options.rounds // 10)
        show("500 ms of imports", *measure(options.python, script, ["--message", "hi"], rounds, 0.002))


if __name__ == "__main__":
    main()
