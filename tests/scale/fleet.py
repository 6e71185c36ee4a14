"""Three daemons and the one that is added later, with one plugins directory; and the proxies before them."""

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROXIES = os.path.join(ROOT, "packaging", "proxies")
sys.path.append(os.path.join(ROOT, "tests", "docs"))

from daemon import Daemon  # noqa: E402

from clients import HOST, Alone  # noqa: E402

CONFIG = f"""\
[http]
hosts = ["{HOST}"]
[execution]
drain = 5
max_concurrent = 64
[plugin.scale]
concurrency = 64
[auth]
state_key_file = "{{key}}"
"""
NAMES = ("a", "b", "c", "d")
# What the files say, in the order of the names; `d` is the one that is added.
PORTS = (8001, 8002, 8003, 8004)
FRONT, BESIDE = 8080, 8081


def free_ports(count):
    """Returns ports of loopback that are free now."""
    with contextlib.ExitStack() as held:
        found = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def wait(seconds, what, condition):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {seconds} s: {what}")
        time.sleep(0.02)
    return found


class Place:
    """Where a run is, and what it drives, as the daemons of tests/docs want it."""

    def __init__(self, temp):
        self.root, self.temp = ROOT, temp
        self.smcpd = os.path.abspath(os.environ.get("SMCPD") or os.path.join(ROOT, "target", "release", "smcpd"))
        self.python = os.path.realpath(sys.executable)


class Fleet:
    """The daemons by their names. Each has directories of its own but the plugins'."""

    def __init__(self, place):
        self.place = place
        self.plugins = os.path.join(place.temp, "plugins")
        shutil.copytree(os.path.join(HERE, "plugins"), self.plugins)
        self.ledger = os.path.join(place.temp, "ledger")
        open(self.ledger, "w").close()
        # What one daemon asks, another takes up.
        key = os.path.join(place.temp, "state.key")
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        self.ports = dict(zip(NAMES, free_ports(len(NAMES))))
        self.daemons = {
            name: Daemon(
                place, plugins=self.plugins, config=CONFIG.format(key=key), name=name, port=port,
                environment={"SCALE_NAME": name, "SCALE_LEDGER": self.ledger},
            )
            for name, port in self.ports.items()
        }

    def __enter__(self):
        try:
            for name in NAMES[:3]:
                self.daemons[name].start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for daemon in self.daemons.values():
            if daemon.process and daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait()

    def is_up(self, name):
        process = self.daemons[name].process
        return process is not None and process.poll() is None

    def up(self):
        """Starts those of the three that do not run, and stops the fourth."""
        for name in NAMES[:3]:
            if not self.is_up(name):
                self.daemons[name].start()
        if self.is_up("d"):
            self.daemons["d"].stop()

    def ran(self):
        """Returns the daemons that began each call, and the calls that ended."""
        began, ended = {}, set()
        with open(self.ledger) as ledger:
            for line in ledger:
                name, what, call = line.split()
                if what == "begin":
                    began.setdefault(call, []).append(name)
                else:
                    ended.add(call)
        return began, ended


class Proxy:
    """One proxy with the file that is shipped for it, at other ports: `with` runs it in the foreground."""

    name = source = None
    # Asks for `/health` by itself.
    asks_for_health = True

    def __init__(self, fleet, program):
        self.fleet, self.program = fleet, program
        self.directory = os.path.join(fleet.place.temp, self.name)
        os.makedirs(self.directory)
        self.front, self.beside = free_ports(2)
        self.address = f"127.0.0.1:{self.front}"
        self.file = os.path.join(self.directory, self.source)
        self.log = os.path.join(self.directory, "log")

    def configure(self, change=lambda text: text):
        with open(os.path.join(PROXIES, self.source)) as file:
            shipped = file.read()
        text = change(shipped)
        # At once: a port that was chosen may be one that is still to be replaced.
        ports = dict(zip(map(str, (*PORTS, FRONT, BESIDE)), (*self.fleet.ports.values(), self.front, self.beside)))
        text, found = re.subn(r"(?<=:|\s)(800[1-4]|808[01])\b", lambda match: str(ports[match[0]]), text)
        assert found >= 5, found
        with open(self.file, "w") as file:
            file.write(text)

    def __enter__(self):
        self.configure()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                # With it end the processes that it started.
                start_new_session=True,
            )
        try:
            self.well()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # First the master, which buries its workers.
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def well(self):
        """Waits until it answers, and gives work to all three."""
        wait(15, f"{self.name} answers: {self.said()}", self.answers)
        seen = set()

        def all_three():
            seen.add(Alone(self.address).call("scale__where", {}))
            return seen >= set(NAMES[:3])

        wait(15, f"{self.name} has all three, not {seen}", all_three)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended: {self.said()}")
        connection = http.client.HTTPConnection(self.address, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/health", headers={"Host": HOST})
            return connection.getresponse().status == 200

    def said(self):
        with contextlib.suppress(OSError), open(self.log, errors="replace") as log:
            return log.read()[-2000:]
        return ""

    def instance(self, told):
        """Returns the name of a daemon from what `Smcp-Instance` says."""
        return told


class Nginx(Proxy):
    name, source = "nginx", "nginx.conf"
    asks_for_health = False

    def command(self):
        temporary = "".join(f"{kind}_temp_path {self.directory}/{kind};" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        main = os.path.join(self.directory, "main.conf")
        with open(main, "w") as file:
            # Loaded modules and the like are the distribution's, and not needed.
            file.write(f"daemon off; pid {self.directory}/pid; user root; worker_processes 2;\n"
                       f"events {{ worker_connections 4096; }}\n"
                       f"http {{ access_log off; {temporary} include {self.file}; }}\n")
        return [self.program, "-e", "stderr", "-p", self.directory, "-c", main]

    def check(self):
        return [*self.command(), "-t"]

    def add(self):
        """The fourth daemon: a line wherever the three are named."""
        def change(text):
            lines, pool = [], None
            for line in text.replace("[abc]", "[abcd]").splitlines():
                lines.append(line)
                begins = re.match(r"upstream (\w+)", line)
                pool = begins[1] if begins else pool
                if "server 127.0.0.1:8003" in line and pool in ("smcp", "smcp_by_caller"):
                    lines.append(line.replace("8003", "8004"))
                elif "~:8003$ c;" in line:
                    lines.append("    ~:8004$ d;")
                elif "~:8003$ smcp_a;" in line:
                    lines.append("    ~:8004$ smcp_a;")
                elif "~^c-" in line:
                    lines.append("    ~^d- smcp_d;")
            return "upstream smcp_d { server 127.0.0.1:8004; server 127.0.0.1:8001 backup; }\n" + "\n".join(lines)

        self.reload(change)

    def take_out(self):
        """Nothing comes to `b` any more, and what it has in hand it may finish."""
        self.reload(lambda text: re.sub(r"(server 127\.0\.0\.1:8002) .*?;", r"\1 down;", text))

    def by_caller(self):
        self.reload(lambda text: text.replace("default smcp;    #", "default smcp_by_caller; #"))

    def reload(self, change):
        self.configure(change)
        os.kill(self.process.pid, signal.SIGHUP)


class Haproxy(Proxy):
    name, source = "HAProxy", "haproxy.cfg"

    def command(self):
        return [self.program, "-W", "-db", "-f", self.file]

    def check(self):
        return [self.program, "-c", "-f", self.file]

    def add(self):
        def change(text):
            lines = []
            for line in text.splitlines():
                lines.append(line)
                if "server c 127.0.0.1:8003" in line:
                    lines.append(line.replace("8003", "8004").replace("server c", "server d").replace("smcp/c", "smcp/d"))
            return "\n".join(lines) + "\n"

        self.reload(change)

    def take_out(self):
        """Nothing comes to `b` any more, and what it has in hand it may finish."""
        self.reload(lambda text: text.replace("server b 127.0.0.1:8002", "server b 127.0.0.1:8002 disabled"))

    def by_caller(self):
        self.reload(lambda text: text.replace("balance roundrobin", "balance source"))

    def reload(self, change):
        self.configure(change)
        os.kill(self.process.pid, signal.SIGUSR2)


class Envoy(Proxy):
    name, source = "Envoy", "envoy.yaml"
    # A new configuration is a new process, or a control plane: neither is tried.
    add = None

    def command(self):
        return [self.program, "-c", self.file, "--use-dynamic-base-id", "--concurrency", "2", "-l", "warn"]

    def check(self):
        return [self.program, "--mode", "validate", "-c", self.file, "-l", "warn"]

    def instance(self, told):
        return {f"127.0.0.1:{port}": name for name, port in self.fleet.ports.items()}[told]


def found():
    """Returns the classes of the proxies with their programs, where this machine has them."""
    return [(kind, shutil.which(os.environ.get(variable, program)) or shutil.which(os.path.join("/usr/sbin", program)))
            for kind, variable, program in
            ((Nginx, "NGINX", "nginx"), (Haproxy, "HAPROXY", "haproxy"), (Envoy, "ENVOY", "envoy"))]


def state(daemon):
    return json.loads(daemon.request("GET", "/health")[2])
