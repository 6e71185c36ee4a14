"""The rows about starting, and about a daemon that has nothing to do."""

import os
import shutil

import processes
import subjects
from bench import DEMO, by_turns, free_port, median, settle
from daemon import basic

# What demo_text offers, and the daemon's own tool.
TOOLS_EACH = 4
OWN = 1


class Starts:
    """A directory of plugins and a daemon that is started over it, again and again."""

    def __init__(self, bench, plugins, name):
        self.bench, self.count = bench, plugins
        self.directory = os.path.join(bench.temp, f"starts-{name}")
        self.plugins = subjects.copies(DEMO, os.path.join(self.directory, "plugins"), plugins)
        os.makedirs(self.plugins, exist_ok=True)
        self.config = os.path.join(self.directory, "smcpd.toml")
        with open(self.config, "w") as file:
            file.write(bench.config())
        runtime = os.path.join(self.directory, "run")
        os.mkdir(runtime, 0o700)
        self.environment = {**basic(bench, self.directory), "XDG_RUNTIME_DIR": runtime}

    def start(self):
        """How long it is from the start to the first whole list, in ms."""
        port = free_port()
        argv = [self.bench.smcpd, "--config", self.config, "--plugins-dir", self.plugins, "--port", str(port)]
        program = {"argv": argv, "directory": self.directory, "environment": self.environment}
        tools = self.count * TOOLS_EACH + OWN
        order = {"do": "until_listed", "program": program, "address": f"127.0.0.1:{port}", "tools": tools}
        return self.bench.driver.order(**order)["ms"]

    def start_anew(self):
        """The same with nothing cached."""
        shutil.rmtree(os.path.join(self.directory, "cache"), ignore_errors=True)
        return self.start()

    def one_after_another(self):
        """What describing them takes where nothing overlaps."""
        directories = [os.path.join(self.plugins, name) for name in sorted(os.listdir(self.plugins))]
        programs = [self.bench.direct_run(directory, "--describe") for directory in directories]
        return sum(self.bench.driver.execute(program)[0] for program in programs)


def cached(bench):
    starts = Starts(bench, 50, "cached")
    starts.start_anew()
    taken = [starts.start() for _ in range(bench.samples)]
    return {"value": median(taken), "all_ms": taken}


def uncached(bench):
    starts = Starts(bench, 50, "uncached")
    ours, alone = map(median, by_turns(bench.count(30, 1), starts.start_anew, starts.one_after_another))
    return {"value": ours / alone, "start_ms": ours, "one_after_another_ms": alone}


def idle(bench):
    """MiB of the daemon with 50 plugins, of which none was called."""
    taken = []
    for number in range(bench.count(5, 1)):
        directory = os.path.join(bench.temp, f"idle-{number}")
        daemon = bench.daemon(plugins=subjects.copies(DEMO, directory, 50))
        settle(1)
        taken.append(processes.resident(daemon.pid) / 1024)
        daemon.stop()
    return {"value": median(taken)}
