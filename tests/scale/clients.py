"""Clients of the three dialects, as small as they can be.

Each request has a connection of its own, and no cookie is kept.
"""

import contextlib
import http.client
import json

HOST = "tools.example.org"
NEWEST = "2026-07-28"
ABOUT = {"capabilities": {}, "clientInfo": {"name": "scale", "version": "1"}}
# Longer than any call here takes.
PATIENCE = 30


class Lost(Exception):
    """No answer came: whoever sent it cannot know whether it ran."""


class Over(Exception):
    """The session is unknown: 404, or its stream has ended."""


class Refused(Exception):
    """An answer that says that nothing was run."""


def post(address, path, body, headers=None):
    """Returns the status, the headers and the messages of one answer, be it JSON or a stream; raises `Lost`."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    with contextlib.closing(connection):
        try:
            connection.request("POST", path, json.dumps(body), {
                "Host": HOST, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                **(headers or {}),
            })
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise Lost(f"{type(error).__name__}: {error}") from None
        # A 503 of the daemon's own is in JSON, and says that nothing was run.
        is_json = (answer.headers["Content-Type"] or "").startswith("application/json")
        if answer.status in (502, 503, 504) and not is_json:
            raise Lost(f"{answer.status}: {text[:200]}")
        if (answer.headers["Content-Type"] or "").startswith("text/event-stream"):
            data = [line[5:] for line in text.splitlines() if line.startswith("data:")]
            messages = [json.loads(line) for line in data if line.strip()]
            if answer.status == 200 and not any("id" in message for message in messages):
                raise Lost("the stream ended without the answer")
        elif is_json:
            messages = [json.loads(text)]
        else:
            messages = []
        return answer.status, answer.headers, messages


def result(status, messages):
    """Returns the result of an answer; raises `Over` or `Refused` where it says so."""
    if status == 404 and messages and messages[0].get("error", {}).get("code") == -32001:
        raise Over
    if status != 200:
        raise Refused(f"{status}: {messages}")
    answer = next(message for message in messages if "id" in message)
    said = answer.get("result", {})
    if "error" in answer or said.get("isError") and "the daemon is stopping" in json.dumps(said):
        raise Refused(json.dumps(answer))
    return said


def text_of(said):
    if said.get("isError"):
        raise AssertionError(said)
    return said["content"][0]["text"].strip()


class Alone:
    """2026-07-28: every request stands alone."""

    kind = "2026-07-28"

    def __init__(self, address, headers=None):
        self.address, self.headers = address, headers or {}

    def ask(self, method, params=None, headers=None, capabilities=None):
        """Returns the result and the name of the instance that the proxy says."""
        params = dict(params or {})
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": NEWEST,
            "io.modelcontextprotocol/clientCapabilities": capabilities or {},
        }
        sent = {"MCP-Protocol-Version": NEWEST, "Mcp-Method": method, **self.headers}
        if method == "tools/call":
            sent["Mcp-Name"] = params["name"]
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        status, told, messages = post(self.address, "/mcp", body, {**sent, **(headers or {})})
        return result(status, messages), told["Smcp-Instance"]

    def call(self, tool, arguments, headers=None):
        return text_of(self.ask("tools/call", {"name": tool, "arguments": arguments}, headers)[0])

    def close(self):
        pass


class Session:
    """Streamable HTTP of 2025-11-25."""

    kind = "Mcp-Session-Id"

    def __init__(self, address):
        self.address, self.id = address, None

    def open(self):
        self.id = None
        _, told = self.send("initialize", {"protocolVersion": "2025-11-25", **ABOUT})
        self.id, self.instance = told["Mcp-Session-Id"], told["Smcp-Instance"]
        assert self.id, dict(told)
        post(self.address, "/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"}, self.named())
        return self

    def named(self):
        return {"Mcp-Session-Id": self.id, "MCP-Protocol-Version": "2025-11-25"} if self.id else {}

    def send(self, method, params=None):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        status, told, messages = post(self.address, "/mcp", body, self.named())
        return result(status, messages), told

    def call(self, tool, arguments):
        if not self.id:
            self.open()
        try:
            return text_of(self.send("tools/call", {"name": tool, "arguments": arguments})[0])
        except Over:
            self.id = None
            raise

    def end(self):
        """Ends it, and returns the status of the answer."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("DELETE", "/mcp", headers={"Host": HOST, **self.named()})
            return connection.getresponse().status

    def listen(self):
        """Returns the stream of `GET /mcp`."""
        return Events(self.address, "GET", "/mcp", None, self.named())

    def close(self):
        pass


class Events:
    """An open stream of events."""

    def __init__(self, address, method, path, body=None, headers=None, timeout=PATIENCE):
        self.connection = http.client.HTTPConnection(address, timeout=timeout)
        try:
            self.connection.request(method, path, body and json.dumps(body), {
                "Host": HOST, "Accept": "text/event-stream", **({"Content-Type": "application/json"} if body else {}),
                **(headers or {}),
            })
            self.answer = self.connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise Lost(f"{type(error).__name__}: {error}") from None
        if self.answer.status != 200:
            said = self.answer.read().decode()
            self.close()
            raise Refused(f"{self.answer.status}: {said}")
        self.instance = self.answer.headers["Smcp-Instance"]

    def event(self):
        """Returns the kind and the data of the next event; raises `Over` where the stream ends."""
        kind, data = "message", []
        try:
            while line := self.answer.readline().decode():
                name, _, value = line.rstrip("\r\n").partition(":")
                if name == "event":
                    kind = value.strip()
                elif name == "data":
                    data.append(value.removeprefix(" "))
                elif line.strip() == "" and "".join(data):
                    return kind, "\n".join(data)
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass
        raise Over

    def message(self):
        return json.loads(self.event()[1])

    def until(self, method):
        """Reads up to a notification."""
        while (message := self.message()).get("method") != method:
            pass
        return message

    def close(self):
        with contextlib.suppress(OSError):
            self.answer.close()
        self.connection.close()


class Stream:
    """HTTP+SSE of 2024-11-05."""

    kind = "HTTP+SSE"

    def __init__(self, address):
        self.address, self.events = address, None

    def open(self):
        self.last = 0
        self.events = Events(self.address, "GET", "/sse")
        try:
            kind, self.path = self.events.event()
            assert kind == "endpoint", kind
            self.instance = self.events.instance
            self.send("initialize", {"protocolVersion": "2024-11-05", **ABOUT})
            self.post({"method": "notifications/initialized"})
        except BaseException:
            self.close()
            raise
        return self

    def post(self, body):
        status, _, messages = post(self.address, self.path, {"jsonrpc": "2.0", **body})
        if status != 202:
            result(status, messages)
            raise AssertionError((status, messages))

    def send(self, method, params=None):
        self.last += 1
        self.post({"id": self.last, "method": method, "params": params or {}})
        try:
            while (message := self.events.message()).get("id") != self.last:
                pass
        except Over:
            # It was taken, and the stream ended without the answer.
            raise Lost("the stream ended without the answer") from None
        return result(200, [message])

    def call(self, tool, arguments):
        if not self.events:
            self.open()
        try:
            return text_of(self.send("tools/call", {"name": tool, "arguments": arguments}))
        except (Over, Lost, Refused):
            self.close()
            raise

    def close(self):
        if self.events:
            self.events.close()
            self.events = None
