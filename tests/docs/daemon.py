"""A daemon of a check's own, in a directory of its own, and ways to speak to it."""

import contextlib
import copy
import http.client
import json
import os
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time

START = 30
STOP = 30


def expect(condition, seen):
    """Fails with what was seen instead."""
    if not condition:
        raise AssertionError(f"got {seen}")


class Refused(Exception):
    """The daemon did not start; `status` is what it exited with, `said` what it wrote."""

    def __init__(self, status, said):
        super().__init__(f"exit status {status}: {said}")
        self.status, self.said = status, said


class Daemon:
    """`with Daemon(place, links={"name": directory}) as daemon:` is a running daemon, on a free port of loopback.

    Everything of it is below `place.temp`/NAME. `plugins` is a plugins directory that is there already, `links` are
    linked in a new one. `environment` is added to what it gets. With `port=None` no `--port` is given, and with
    `plugins_flag=False` no `--plugins-dir`: both then come from the configuration or the environment. `said()` is its
    log.
    """

    def __init__(
        self, place, links=None, *, plugins=None, config="", environment=None, arguments=(), port=0, plugins_flag=True,
        name="daemon",
    ):
        self.place = place
        self.directory = directory = os.path.join(place.temp, name)
        os.makedirs(directory)
        self.plugins = plugins or os.path.join(directory, "plugins")
        os.makedirs(self.plugins, exist_ok=True)
        for link, source in (links or {}).items():
            os.symlink(os.path.join(place.root, source), os.path.join(self.plugins, link))
        self.config = os.path.join(directory, "smcpd.toml")
        with open(self.config, "w") as file:
            file.write(config)
        self.runtime = os.path.join(directory, "run")
        os.mkdir(self.runtime, 0o700)
        self.state = os.path.join(directory, "state", "smcp")
        self.log = os.path.join(directory, "smcpd.log")
        self.environment = {**basic(place, directory), "XDG_RUNTIME_DIR": self.runtime, **(environment or {})}
        self.arguments = [place.smcpd, "--config", self.config]
        self.arguments += ["--plugins-dir", self.plugins] if plugins_flag else []
        self.arguments += [] if port is None else ["--port", str(port)]
        self.arguments += arguments
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Starts it, and returns when it says READY; raises `Refused` if it ends instead."""
        path = os.path.join(self.runtime, "notify")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(path)
        self.notices = queue.Queue()
        # Read at once and to the end, as a service manager does: a full socket would hold the daemon up.
        threading.Thread(target=self.listen, args=(self.manager,), daemon=True).start()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments, env={**self.environment, "NOTIFY_SOCKET": path}, cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self.process.poll() is None:
            notice = self.notice()
            if notice.get("READY") == "1":
                self.address = notice["X_SMCP_ADDRESS"]
                self.url = f"http://{self.address}"
                self.settle()
                return
        raise Refused(self.process.poll(), self.said())

    def settle(self):
        """Waits until no plugin is still being described: on a busy machine some are after READY."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            try:
                if not json.loads(self.request("GET", "/health", timeout=5)[2])["plugins"]["pending"]:
                    return
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                return  # a check may make it answer us in no such way
            time.sleep(0.05)

    def notice(self):
        """Returns the next thing said to the service manager, or nothing."""
        try:
            return dict(line.partition("=")[::2] for line in self.notices.get(timeout=0.1).splitlines())
        except queue.Empty:
            return {}

    def listen(self, manager):
        # Nothing is the last thing heard: `stop` shuts the socket down.
        with contextlib.suppress(OSError):
            while said := manager.recv(65536):
                self.notices.put(said.decode())

    def stop(self):
        """Ends it, as a service manager does, and returns its exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon lives on {STOP} s after SIGTERM: {self.said()[-1500:]}") from None
        finally:
            with contextlib.suppress(OSError):
                self.manager.shutdown(socket.SHUT_RDWR)
            self.manager.close()

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def request(self, method, path, body=None, headers=None, timeout=60):
        """Returns the status, the headers and the text of one answer over HTTP. An object becomes JSON."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers = {"Content-Type": "application/json", **headers}
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            # A stream that was opened has no end to wait for.
            is_stream = method == "GET" and (answer.headers["Content-Type"] or "").startswith("text/event-stream")
            return answer.status, answer.headers, "" if is_stream else answer.read().decode()

    def ask(self, method, params=None, headers=None):
        """Returns what one JSON-RPC request in direct mode (`POST /messages/`) is answered with."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, **({"params": params} if params is not None else {})}
        status, _, text = self.request("POST", "/messages/", body, headers)
        expect(status == 200, f"{status}: {text}")
        return json.loads(text)

    def call(self, tool, arguments=None, headers=None):
        """Calls a tool and returns its result."""
        answer = self.ask("tools/call", {"name": tool, "arguments": arguments or {}}, headers)
        expect("result" in answer, answer)
        return answer["result"]

    def tools(self, headers=None):
        """Returns the tools by their names on the wire."""
        return {tool["name"]: tool for tool in self.ask("tools/list", headers=headers)["result"]["tools"]}

    def ctl(self, *words, stdin=None, environment=None, timeout=60):
        """Runs smcpctl against this daemon; returns what `subprocess.run` does."""
        return subprocess.run(
            [self.place.smcpctl, *words], env={**self.environment, **(environment or {})}, cwd=self.directory,
            input=stdin, stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True, text=True,
            timeout=timeout,
        )


def basic(place, directory):
    """An environment with nothing of the caller's but the PATH, and every directory below `directory`."""
    return {
        "PATH": os.pathsep.join([os.path.dirname(place.python), os.environ.get("PATH", os.defpath)]),
        "HOME": directory,
        "XDG_CONFIG_HOME": os.path.join(directory, "config"),
        "XDG_DATA_HOME": os.path.join(directory, "data"),
        "XDG_STATE_HOME": os.path.join(directory, "state"),
        "XDG_CACHE_HOME": os.path.join(directory, "cache"),
        "LANG": "C.UTF-8",
    }


@contextlib.contextmanager
def held(place):
    """The same place in a directory that no plugin may write of itself, unlike `/tmp`: what is below it can be held."""
    scratch = ("/tmp/", "/var/tmp/", "/dev/shm/", os.path.join(os.environ.get("TMPDIR", "/tmp"), ""))
    homes = [os.path.join(place.root, "target"), os.path.expanduser("~/.cache"), os.path.expanduser("~")]
    there = [home for home in homes if os.path.isdir(home) and not os.path.realpath(home).startswith(scratch)]
    expect(there, f"no directory outside of {scratch} among {homes}")
    with tempfile.TemporaryDirectory(prefix="smcp-docs-", dir=there[0]) as directory:
        elsewhere = copy.copy(place)
        elsewhere.temp = directory
        yield elsewhere


def refused(place, **options):
    """Returns the `Refused` of a daemon that must not start; fails if it does."""
    daemon = Daemon(place, **options)
    try:
        daemon.start()
    except Refused as error:
        return error
    finally:
        daemon.stop()
        shutil.rmtree(daemon.directory, ignore_errors=True)
    raise AssertionError("the daemon started")
