"""The client: `smcp-bench drive`, which takes an order a line and answers each with one."""

import json
import os
import select
import subprocess

PATIENCE = 300


class Failed(Exception):
    """An order could not be carried out."""


class Driver:
    """Counts what comes of all requests: `answers`, `errors` and `misdelivered`."""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "drive"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.buffer = b""
        self.answers = self.errors = self.misdelivered = 0

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def send(self, **order):
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self, patience=PATIENCE):
        while b"\n" not in self.buffer:
            if not self.has_said(patience):
                raise Failed(f"no answer in {patience} s")
            chunk = os.read(self.process.stdout.fileno(), 1 << 20)
            if not chunk:
                raise Failed("the client has ended")
            self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\n")
        answer = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def has_said(self, patience=0):
        """Whether there is more to read, or comes in so many seconds."""
        return bool(select.select([self.process.stdout], [], [], patience)[0])

    def order(self, **order):
        self.send(**order)
        return self.receive()

    def open(self, name, transport, url, connections=1):
        """Opens sessions by this name; at most what a server says when it has them is waited for."""
        self.order(do="open", name=name, transport=transport, url=url, connections=connections)

    def run(self, name, method, params=None, count=1, pause_ms=0):
        """Sends requests and returns how long each took, in ms, with `seconds` for all of them."""
        work = {"method": method, "params": params or {}, "count": count, "pause_ms": pause_ms}
        return self.judged(self.order(do="run", name=name, work=work), count)

    def judged(self, answer, count):
        self.answers += count
        self.errors += answer["errors"]
        self.misdelivered += answer["misdelivered"]
        if answer["errors"]:
            raise Failed(f"{answer['errors']} of {count} requests failed: {answer['first_error']}")
        return answer

    def execute(self, program, count=1, pause_ms=0):
        """Runs a program so often and returns how long each run took, in ms."""
        return self.order(do="execute", program=program, count=count, pause_ms=pause_ms)["ms"]
