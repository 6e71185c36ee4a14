"""What a run measures with: programs, daemons, the client, the bare server, and how samples are taken."""

import contextlib
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "docs"))

import daemon as daemons  # noqa: E402
import processes  # noqa: E402
from driver import Driver  # noqa: E402

ECHO = {"name": "demo_text__echo", "arguments": {"message": "@@"}}
DEMO = os.path.join(ROOT, "plugins", "demo_text")


def median(values):
    return statistics.median(values)


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def by_turns(samples, *sides):
    """Takes a sample of each side in turn, so that what the machine does befalls all alike; returns them by side."""
    taken = [[] for _ in sides]
    for _ in range(samples):
        for values, side in zip(taken, sides):
            values.append(side())
    return taken


class Bench(contextlib.ExitStack):
    """`samples` is how many samples of each side are taken; a short run takes few, and counts less in each."""

    def __init__(self, short):
        super().__init__()
        self.short = short
        self.samples = 3 if short else 30
        self.root = ROOT
        target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
        self.smcpd = os.path.abspath(os.environ.get("SMCPD") or os.path.join(target, "release", "smcpd"))
        self.smcpctl = os.path.abspath(os.environ.get("SMCPCTL") or os.path.join(target, "release", "smcpctl"))
        self.program = os.path.abspath(os.environ.get("SMCP_BENCH") or os.path.join(target, "release", "smcp-bench"))
        self.python = interpreter()

    def __enter__(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        # Short, for it holds sockets.
        self.temp = tempfile.mkdtemp(prefix="smcp-bench-")
        self.callback(shutil.rmtree, self.temp, ignore_errors=True)
        self.driver = self.client()
        self.has_warm = self.takes('[warm]\nmode = "off"\n')
        self.has_sandbox = self.takes('[sandbox]\nmode = "off"\n')
        self.names = 0
        return self

    def takes(self, config):
        """Whether this smcpd knows these keys."""
        path = os.path.join(self.temp, "asked.toml")
        with open(path, "w") as file:
            file.write(config)
        command = [self.smcpd, "--config", path, "--check"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=daemons.basic(self, self.temp))
        if done.returncode and "unknown field" not in done.stderr:
            raise SystemExit(f"{self.smcpd}: {done.stderr}")
        return done.returncode == 0

    def count(self, full, short):
        return short if self.short else full

    def client(self):
        driver = Driver(self.program)
        self.callback(driver.close)
        return driver

    def config(self, warm=None, execution="", plugins="", sandbox=None):
        """A configuration; `warm` is a mode of warm workers and `sandbox` one of it, for a daemon that has them."""
        text = f'[plugins]\npython = "{self.python}"\nstartup_wait = 60\n{plugins}\n[execution]\n{execution}\n'
        text += f'[warm]\nmode = "{warm}"\n' if warm and self.has_warm else ""
        return text + (f'[sandbox]\nmode = "{sandbox}"\n' if sandbox and self.has_sandbox else "")

    def daemon(self, links=None, plugins=None, warm=None, execution="", arguments=(), sandbox=None):
        """Starts a daemon that is stopped at the end of the run, or before by `stop`."""
        self.names += 1
        given = {"config": self.config(warm, execution, sandbox=sandbox), "name": f"d{self.names}", "arguments": arguments}
        started = daemons.Daemon(self, links if plugins else links or {"demo_text": DEMO}, plugins=plugins, **given)
        started.start()
        self.callback(started.stop)
        started.pid = started.process.pid
        return started

    def bare(self, listed, program=None):
        """Starts the bare server with `listed` as its list, and `program` as what a call runs; returns its URL and its pid."""
        self.names += 1
        path = os.path.join(self.temp, f"list{self.names}.json")
        with open(path, "w") as file:
            json.dump(listed, file, separators=(",", ":"), ensure_ascii=False)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [self.program, "bare", path] + ([json.dumps(program)] if program else [])
        process = self.enter_context(subprocess.Popen(command, **pipes))
        self.callback(process.stdin.close)
        return "http://" + json.loads(process.stdout.readline())["address"], process.pid

    def direct_run(self, source, *words):
        """The program that a call runs, as a person would run it."""
        directory = os.path.join(self.temp, "direct")
        os.makedirs(directory, exist_ok=True)
        # `direct_run` is the measure of everything: nothing is between it and the interpreter.
        argv = [self.python, os.path.join(source, "cli.py"), *words]
        return {"argv": argv, "directory": directory, "environment": daemons.basic(self, directory)}

    def open(self, name, daemon, transport="session", connections=1):
        paths = {"session": "/mcp", "stateless": "/mcp", "direct": "/messages/", "sse": "/sse"}
        url = daemon if isinstance(daemon, str) else daemon.url
        self.driver.open(name, transport, url + paths[transport], connections)
        return name

    def close(self, *names):
        for name in names:
            self.driver.order(do="close", name=name)

    def cost(self, name, pid, method, params=None, count=1):
        """Microseconds of CPU of one process for each of these requests, and the latency of each in ms."""
        before = processes.cpu(pid)
        ran = self.driver.run(name, method, params, count)
        return (processes.cpu(pid) - before) * 1e6 / count, ran["ms"]


def interpreter():
    """A real interpreter, no shim that costs more than what it starts: the system's, else this one."""
    system = "/usr/bin/python3"
    return os.path.realpath(system if os.path.exists(system) else sys.executable)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def settle(seconds=0.5):
    time.sleep(seconds)
