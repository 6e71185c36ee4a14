"""Measures a call cold, as a fork, as a spare and as a model's, interleaved: medians, ratios, and processor time a call.

    PYTHON tests/warm/measure.py [--rounds N] [--python PATH]

A call is counted from the start of sending it to the end of stdout and stderr; a spare is ready before, as the daemon
has it. `handed` is from the call's sending to `running`. Processor time is all of the child's own, the preparing
included, and for the others also the share of who forked it. `bare` is what bounds a fork: a process that has imported
argparse and json and compiled the script forks, and each child runs it and leaves, with nothing else about it.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import driver

# All of them come of the model, where there can be one.
MODEL = {"spare_age": 3600, "often": 1e9}
IMPORTING = """import time
end = time.process_time() + 0.5
while time.process_time() < end:  # stands for imports that take half a second
    pass
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--message")
print(parser.parse_args().message)
"""


BARE = """import argparse, gc, json, os, resource, sys
script, rounds, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = script
code = compile(open(script).read(), script, "exec")
argparse.ArgumentParser().parse_args([])
gc.freeze()
def used():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
before = used()
for _ in range(int(rounds)):
    if os.fork() == 0:
        try:
            exec(code, {"__name__": "__main__", "__file__": script})
        except SystemExit:
            pass
        sys.stdout.flush()
        os._exit(0)
    os.wait()
print((used() - before) / int(rounds), file=sys.stderr)
"""


def bare(python, script, arguments, rounds):
    """Returns the processor time of a run in a fork of a process that has nothing of ours."""
    command = [python, "-c", BARE, script, str(rounds), *arguments]
    return float(subprocess.run(command, stderr=subprocess.PIPE, check=True, timeout=driver.LIMIT).stderr)


def used():
    """Returns the processor time of all children, those that were reaped and those that live."""
    total = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    with open("/proc/self/task/%d/children" % os.getpid()) as file:
        for pid in file.read().split():
            # The clock of a process, as clock_getcpuclockid(3) makes it.
            total += time.clock_gettime((~int(pid) << 3) | 2)
    return total


def measure(python, script, arguments, rounds, pause):
    variables = {"SMCP_CALL_ID": "m"}
    kinds = ("cold", "fork", "spare", "model")
    found = {kind: [] for kind in kinds + ("handed",)}
    cost = {kind: [] for kind in kinds}
    with driver.Parent(python, script) as plain, driver.Parent(python, script, more=MODEL) as model:
        model.call("S", arguments, variables)
        for _ in range(rounds):
            before, at = used(), time.perf_counter()
            driver.run_cold(python, script, arguments, variables)
            found["cold"].append(time.perf_counter() - at)
            cost["cold"].append(used() - before)
            for kind in kinds[1:]:
                before, at = used(), time.perf_counter()
                with (model if kind == "model" else plain).request("F" if kind == "fork" else "S") as child:
                    if kind != "fork":
                        child.until("waiting")
                        time.sleep(pause)
                        at = time.perf_counter()
                    out, err = child.start(arguments, variables)
                    child.until("running")
                    if kind == "model":
                        found["handed"].append(time.perf_counter() - at)
                    driver.gather([out, err])
                    found[kind].append(time.perf_counter() - at)
                    driver.await_exit(child.pid)
                    os.close(out)
                    os.close(err)
                cost[kind].append(used() - before)
    medians = {kind: statistics.median(times) for kind, times in found.items()}
    return medians, {kind: statistics.median(costs) for kind, costs in cost.items()}


def show(title, medians, costs, bound):
    print(title)
    for kind in ("cold", "fork", "spare", "model", "handed"):
        ratio = medians["cold"] / medians[kind]
        cpu = "%8.2f ms CPU" % (costs[kind] * 1000) if kind in costs else ""
        print("  %-7s %8.2f ms  1/%-6.1f%s" % (kind, medians[kind] * 1000, ratio, cpu))
    print("  %-7s %11s %9s%8.2f ms CPU" % ("bare", "", "", bound * 1000))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    driver.adopt()
    print("python %s, load %.1f" % (options.python, os.getloadavg()[0]))
    echo = os.path.join(driver.ROOT, "plugins", "demo_text", "cli.py")
    words = ["echo", "--message", "hi"]
    medians, costs = measure(options.python, echo, words, options.rounds, 0.002)
    show("demo_text echo", medians, costs, bare(options.python, echo, words, options.rounds))
    with tempfile.TemporaryDirectory() as directory:
        script = os.path.join(directory, "cli.py")
        with open(script, "w") as file:
            file.write(IMPORTING)
        rounds = max(3, options.rounds // 10)
        words = ["--message", "hi"]
        medians, costs = measure(options.python, script, words, rounds, 0.002)
        show("500 ms of imports", medians, costs, bare(options.python, script, words, rounds))


if __name__ == "__main__":
    main()
