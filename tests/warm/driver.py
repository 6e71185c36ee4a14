"""Does the daemon's part for the warm workers' tests: starts parents, hands out calls, collects what comes of them.

Each call is answered by a `Result`, the same for a cold start, a fork and a spare. The process using this becomes a
child subreaper (`adopt`), as the daemon is, so that a parent's grandchildren become its children.
"""

import array
import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCES = os.path.join(ROOT, "smcpd", "src", "executor", "warm")
PARTS = ("waiting.py", "effects.py", "child.py", "model.py", "pages.py", "running.py", "preparing.py", "parent.py")
NAMES = ("SMCP_CALL_ID", "SMCP_CALLER", "SMCP_AGENT_ID", "TRACEPARENT", "EACH_*")
LIMIT = 30


def adopt():
    """Makes this process the parent of its descendants' orphans."""
    if ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0):  # PR_SET_CHILD_SUBREAPER
        raise OSError(ctypes.get_errno(), "prctl")


def text(name):
    with open(os.path.join(SOURCES, name), encoding="utf-8") as file:
        return file.read()


def program():
    return "".join(text(name) for name in PARTS).encode()


class Result:
    """What one run of a plugin came to."""

    def __init__(self, stdout, stderr, status, lines=()):
        self.stdout = stdout
        self.stderr = stderr
        self.status = status  # as subprocess has it: a signal is negative
        self.lines = list(lines)  # what the child wrote on its channel

    def __repr__(self):
        return "Result(%r, %r, %r, %r)" % (self.stdout, self.stderr, self.status, self.lines)


def exit_code(status):
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def await_exit(pid, limit=LIMIT):
    """Reaps a child; kills it first if it does not end by itself in time."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return exit_code(status)
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("process %d did not end" % pid)


def gather(sources, limit=LIMIT):
    """Reads every descriptor to its end; returns what each gave."""
    found = {fd: [] for fd in sources}
    end = time.monotonic() + limit
    with selectors.DefaultSelector() as selector:
        for fd in sources:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(max(0, end - time.monotonic())):
                data = os.read(key.fd, 1 << 16)
                if data:
                    found[key.fd].append(data)
                else:
                    selector.unregister(key.fd)
            if time.monotonic() > end:
                raise AssertionError("the output does not end: %r" % found)
    return [b"".join(found[fd]) for fd in sources]


def environment(base, variables=()):
    """Returns an environment in the order that the daemon gives it."""
    return dict(sorted({**base, **dict(variables)}.items()))


BASE = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": os.environ.get("HOME", "/"),
    "LANG": "C.UTF-8",
    "PYTHONIOENCODING": "utf-8",
    "PYTHONUTF8": "1",
}


@contextlib.contextmanager
def stdin_of(data):
    """Opens what a call reads: nothing, or a pipe with the data in it."""
    if data is None:
        fd = os.open(os.devnull, os.O_RDONLY)
    else:
        fd, write = os.pipe()
        os.write(write, data)  # up to a pipe's room
        os.close(write)
    try:
        yield fd
    finally:
        os.close(fd)


def run_cold(python, script, arguments=(), variables=(), stdin=None, base=BASE, cwd=None, read=True):
    """Runs the plugin as the daemon does without warm workers."""
    with stdin_of(stdin) as fd:
        process = subprocess.Popen(
            [python, script, *arguments], stdin=fd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
            env=environment(base, variables), start_new_session=False, preexec_fn=lambda: os.setpgid(0, 0),
        )
    if not read:
        process.stdout.close()
    try:
        outputs = gather([process.stdout.fileno(), process.stderr.fileno()] if read else [process.stderr.fileno()])
        process.wait(LIMIT)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()
    return Result(*([b""] + outputs)[-2:], process.returncode)


class Parent:
    """A resident parent of one plugin."""

    def __init__(
        self, python, script, base=BASE, cwd=None, preload=(), names=NAMES, idle=False, sources=None, settings=None,
        more=(),
    ):
        self.control, theirs = socket.socketpair()
        read, write = os.pipe()
        script = os.path.realpath(script)
        constant = environment(base, {"SMCP_CALL_ID": "0" * 64})
        try:
            self.process = subprocess.Popen(
                [python, "-c", text("bootstrap.py").strip()], stdin=theirs, stdout=subprocess.DEVNULL, stderr=write,
                env=constant, cwd=cwd,
            )
        finally:
            theirs.close()
            os.close(write)
        self.stderr = read
        self.pid = self.process.pid
        self.control.settimeout(LIMIT)
        body = program() if sources is None else sources
        told = json.dumps(settings or {
            "script": script,
            "orig_argv": [python, script],
            "root": os.path.dirname(script),
            "preload": list(preload),
            "names": list(names),
            "idle": idle,  # on a busy machine an idle-class spare takes its time
            **dict(more),
        }).encode()
        self.control.sendall(struct.pack("<I", len(body)) + body + struct.pack("<I", len(told)) + told)
        line = b""
        while not line.endswith(b"\n"):
            data = self.control.recv(65536)
            if not data:
                break
            line += data
        self.answer = json.loads(line) if line else {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Lets the parent leave; returns what it said on stderr."""
        self.control.close()
        if self.stderr is None:
            return b""
        [said] = gather([self.stderr])
        os.close(self.stderr)
        self.stderr = None
        self.process.wait(LIMIT)
        return said

    def request(self, kind):
        """Asks for a child; returns the channel to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.control.sendmsg(
                [kind.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))]
            )
        return Child(ours)

    def call(self, kind, arguments=(), variables=(), stdin=None, read=True):
        """Runs one call in a child of that kind; a spare that cannot be had gives a result without a status."""
        with self.request(kind) as child:
            if kind != "F":
                line = child.until("waiting", "ended", "refused")
                if not line.startswith("waiting"):
                    await_exit(child.pid)
                    return Result(None, None, None, child.lines)
            return child.run(arguments, variables, stdin, read)


def body_of(arguments, variables):
    words = [os.fsencode(word) for word in arguments]
    words += [os.fsencode("%s=%s" % pair) for pair in dict(variables).items()]
    body = b"".join(word + b"\0" for word in words)
    return struct.pack("<4I", len(body), len(arguments), len(dict(variables)), 0) + body


class Child:
    """The daemon's end of one child's channel."""

    def __init__(self, channel):
        self.channel = channel
        self.channel.settimeout(LIMIT)
        self.buffer = b""
        self.lines = []
        self.pid = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def line(self):
        """Returns the next line, or None at the end."""
        while b"\n" not in self.buffer:
            data = self.channel.recv(65536)
            if not data:
                return None
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        line = line.decode()
        self.lines.append(line)
        if line.startswith("pid "):
            self.pid = int(line[4:])
        return line

    def until(self, *starts):
        while True:
            line = self.line()
            if line is None or line.startswith(starts):
                return line or ""

    def send(self, data, descriptors=()):
        self.channel.sendmsg(
            [data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )

    def start(self, arguments=(), variables=(), stdin=None):
        """Sends the call; returns the ends of stdout and stderr."""
        out, err = os.pipe(), os.pipe()
        with stdin_of(stdin) as fd:
            message = body_of(list(arguments), variables)
            self.send(message[:4096], [fd, out[1], err[1]])
            if len(message) > 4096:
                self.channel.sendall(message[4096:])
        os.close(out[1])
        os.close(err[1])
        return out[0], err[0]

    def run(self, arguments=(), variables=(), stdin=None, read=True):
        out, err = self.start(arguments, variables, stdin)
        try:
            if not read:
                os.close(out)
            self.until("running", "refused")
            outputs = gather([out, err] if read else [err])
        finally:
            if read:
                os.close(out)
            os.close(err)
        while self.line() is not None:
            pass
        return Result(*([b""] + outputs)[-2:], await_exit(self.pid), self.lines)


def pythons():
    """Returns the interpreters to test: of SMCP_PYTHONS, else those on PATH and of pyenv, one for each version."""
    given = os.environ.get("SMCP_PYTHONS")
    if given:
        return given.split(os.pathsep)
    places = os.environ.get("PATH", "").split(os.pathsep)
    try:
        root = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        versions = os.path.join(root, "versions")
        places = [os.path.join(versions, name, "bin") for name in sorted(os.listdir(versions))] + [
            place for place in places if not place.startswith(root)
        ]
    except (OSError, subprocess.CalledProcessError):
        pass
    found = {}
    for place in places:
        for minor in range(8, 15):
            path = os.path.join(place, "python3.%d" % minor)
            if os.access(path, os.X_OK):
                found.setdefault(minor, os.path.realpath(path))
    return [found[minor] for minor in sorted(found)]


if __name__ == "__main__":
    # A look by hand: driver.py KIND SCRIPT [ARGUMENT...]
    adopt()
    kind, script, *rest = sys.argv[1:]
    if kind == "C":
        print(run_cold(sys.executable, script, rest))
    else:
        with Parent(sys.executable, script) as parent:
            print(parent.answer)
            if "ready" in parent.answer:
                print(parent.call(kind, rest, {"SMCP_CALL_ID": "abc"}))
            print(parent.close().decode())
