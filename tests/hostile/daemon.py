"""A daemon in a directory of its own, for the scripts here and in tests/soak; as a user without rights where we are root."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOBODY = 65534
PATIENCE = 30


def program(name):
    """The program to look at: SMCPD or SMCPCTL, else that of this tree, the release before the other."""
    given = os.environ.get(name.upper())
    built = [os.path.join(ROOT, "target", profile, name) for profile in ("release", "debug")]
    found = [path for path in ([given] if given else built) if os.path.exists(path)]
    if not found:
        raise SystemExit(f"there is no {name}: build it, or set {name.upper()}")
    return found[0]


class Daemon:
    def __init__(self, plugins, config=""):
        self.directory = tempfile.mkdtemp(prefix="smcp-")
        os.chmod(self.directory, 0o755)
        self.plugins = self.at("plugins")
        os.mkdir(self.plugins)
        for name, source in plugins.items():
            os.symlink(source, os.path.join(self.plugins, name))
        with open(self.at("smcpd.toml"), "w") as file:
            file.write(config)
        user = NOBODY if os.geteuid() == 0 else None
        if user is not None:
            for path in (self.directory, self.plugins):
                os.chown(path, user, user)
        environment = {"PATH": os.environ["PATH"], "HOME": self.directory, "NOTIFY_SOCKET": self.at("notify")}
        for variable, name in (("CONFIG_HOME", "config"), ("DATA_HOME", "data"), ("STATE_HOME", "state"),
                               ("CACHE_HOME", "cache"), ("RUNTIME_DIR", "run")):
            environment["XDG_" + variable] = self.at(name)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(self.at("notify"))
        os.chmod(self.at("notify"), 0o777)
        notify.settimeout(PATIENCE)
        with open(self.at("log"), "w") as log:
            self.process = subprocess.Popen(
                [program("smcpd"), "--config", self.at("smcpd.toml"), "--port", "0", "--plugins-dir", self.plugins],
                env=environment, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                user=user, group=user, extra_groups=[] if user is not None else None,
            )
        self.pid = self.process.pid
        said = ""
        while "READY=1" not in said:
            said = notify.recv(4096).decode()
        host, _, port = next(line for line in said.splitlines() if line.startswith("X_SMCP_ADDRESS=")).partition("=")[2].rpartition(":")
        self.address = (host, int(port))
        self.notify = notify
        while json.loads(self.get("/health"))["plugins"]["pending"]:
            time.sleep(0.05)

    def at(self, *names):
        return os.path.join(self.directory, *names)

    def connect(self, timeout=60):
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def get(self, path):
        connection = self.connect()
        connection.request("GET", path)
        body = connection.getresponse().read().decode()
        connection.close()
        return body

    def log(self):
        with open(self.at("log")) as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.notify.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def call(connection, tool, arguments):
    """The result of a call in direct mode."""
    params = {"name": tool, "arguments": arguments}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    connection.request("POST", "/messages/", body, {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    if "result" not in answer:
        raise RuntimeError(f"{tool}: {answer}")
    return answer["result"]


def resident(pid):
    """MiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def below(pid):
    """Every living process that descends from it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state not in "ZX":
                parents.setdefault(int(parent), []).append(int(entry))
    found, next_ones = [], [pid]
    while next_ones:
        next_ones = [child for parent in next_ones for child in parents.get(parent, [])]
        found += next_ones
    return found
