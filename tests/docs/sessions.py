"""Clients of the two transports that have sessions, as small as they can be."""

import http.client
import json

from daemon import expect

CLIENT = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "documents", "version": "1"}}


class Stream:
    """HTTP+SSE: `with Stream(daemon) as stream` has opened the stream; `ask` initializes first."""

    def __init__(self, daemon, path="/sse", headers=None):
        self.daemon, self.opened, self.headers = daemon, path, headers or {}
        self.last, self.ready = 0, False
        # Notifications that came before an answer.
        self.notices = []

    def __enter__(self):
        self.connection = http.client.HTTPConnection(self.daemon.address, timeout=30)
        self.connection.request("GET", self.opened, headers=self.headers)
        self.answer = self.connection.getresponse()
        expect(self.answer.status == 200, (self.answer.status, self.opened))
        kind, self.path = self.event()
        expect(kind == "endpoint", kind)
        return self

    def __exit__(self, *_):
        self.abandon()

    def abandon(self):
        """Hangs up without a word."""
        self.answer.close()
        self.connection.close()

    def lines(self):
        """Yields the lines of the stream, comments included."""
        while line := self.answer.readline():
            yield line.decode().rstrip("\r\n")

    def event(self):
        kind, data = "message", []
        for line in self.lines():
            name, _, value = line.partition(":")
            if name == "event":
                kind = value.strip()
            elif name == "data":
                data.append(value.removeprefix(" "))
            elif not line and data:
                return kind, "\n".join(data)
        raise AssertionError("the stream ended")

    def message(self):
        """Returns the next JSON-RPC message."""
        return json.loads(self.event()[1])

    def post(self, body):
        status, _, text = self.daemon.request("POST", self.path, {"jsonrpc": "2.0", **body}, self.headers)
        expect(status == 202, (status, text))

    def ask(self, method, params=None):
        if not self.ready:
            self.ready = True
            self.ask("initialize", CLIENT)
            self.post({"method": "notifications/initialized"})
        self.last += 1
        self.post({"id": self.last, "method": method, "params": params or {}})
        while "id" not in (answer := self.message()):
            self.notices.append(answer)
        expect(answer["id"] == self.last, answer)
        return answer

    def tools(self):
        return {tool["name"]: tool for tool in self.ask("tools/list")["result"]["tools"]}

    def call(self, tool, arguments=None):
        return self.ask("tools/call", {"name": tool, "arguments": arguments or {}})["result"]


class Session:
    """Streamable HTTP of a revision that has sessions."""

    def __init__(self, daemon, headers=None, path="/mcp"):
        self.daemon, self.path = daemon, path
        self.headers = {"Accept": "application/json, text/event-stream", **(headers or {})}
        self.last = 0
        opened, _ = self.post("initialize", {**CLIENT, "protocolVersion": "2025-03-26"})
        self.headers["Mcp-Session-Id"] = opened["Mcp-Session-Id"]
        self.notify("notifications/initialized")

    def notify(self, method):
        status, _, text = self.daemon.request("POST", self.path, {"jsonrpc": "2.0", "method": method}, self.headers)
        expect(status == 202, (status, text))

    def post(self, method, params=None):
        self.last += 1
        body = {"jsonrpc": "2.0", "id": self.last, "method": method, "params": params or {}}
        status, headers, text = self.daemon.request("POST", self.path, body, self.headers)
        expect(status == 200, (status, text))
        if headers["Content-Type"].startswith("text/event-stream"):
            text = next(line for line in text.splitlines() if line.startswith("data:")).removeprefix("data:")
        return headers, json.loads(text)

    def ask(self, method, params=None):
        return self.post(method, params)[1]

    def tools(self):
        return {tool["name"]: tool for tool in self.ask("tools/list")["result"]["tools"]}

    def call(self, tool, arguments=None):
        return self.ask("tools/call", {"name": tool, "arguments": arguments or {}})["result"]
