"""Letta's API as promptyoself uses it, strict about what it is asked. What it finds wrong is in `wrong`."""

import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "letta-key"
AGENT = "agent-00000000-0000-4000-8000-000000000001"


class FakeLetta:
    def __init__(self, address=("127.0.0.1", 0)):
        self.agents = [{"id": AGENT, "name": "ada"}, {"id": "agent-2", "name": "bob"}]
        self.messages = []  # what was kept: {"agent", "content", "otid"}
        self.posts = 0
        self.tools = []
        self.wrong = []
        self.requests = []
        # For each coming POST of a message: a function of the handler that returns whether it answered.
        self.faults = []
        self.lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                fake.get(self)

            def do_POST(self):
                fake.post(self)

            def do_PUT(self):
                fake.put(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # A client that was killed.

        self.server = Server(address, Handler)
        self.url = f"http://{address[0]}:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()

    def environment(self):
        return {"LETTA_BASE_URL": self.url, "LETTA_API_KEY": KEY, "PROMPTYOSELF_TIMEOUT": "30"}

    def expect(self, holds, what):
        if not holds:
            self.wrong.append(what)

    def admitted(self, handler):
        self.requests.append(f"{handler.command} {handler.path}")
        self.expect(handler.headers["Accept"] == "application/json", "Accept")
        if handler.headers["Authorization"] != f"Bearer {KEY}":
            answer(handler, 401, {"detail": "Unauthorized"})
            return False
        return True

    def get(self, handler):
        url = urlsplit(handler.path)
        if url.path == "/v1/health/":
            return answer(handler, 200, {"version": "0.16.0", "status": "ok"})
        if not self.admitted(handler):
            return None
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = url.path.split("/")
        if url.path == "/v1/agents/":
            ids = [agent["id"] for agent in self.agents]
            first = ids.index(query["after"]) + 1 if "after" in query else 0
            return answer(handler, 200, self.agents[first : first + int(query["limit"])])
        if parts[:3] == ["", "v1", "agents"] and len(parts) in (4, 5):
            if parts[3] not in [agent["id"] for agent in self.agents]:
                return answer(handler, 404, {"detail": "Agent not found"})
            if len(parts) == 4:
                return answer(handler, 200, {"id": parts[3]})
            if parts[4] == "messages":
                self.expect(query == {"limit": "100", "order": "desc"}, f"query {query}")
                kept = [m for m in reversed(self.messages) if m["agent"] == parts[3]]
                return answer(
                    handler,
                    200,
                    [{"message_type": "user_message", "content": m["content"], "otid": m["otid"]} for m in kept[:100]],
                )
        self.wrong.append(f"GET {handler.path}")
        return answer(handler, 404, {"detail": "Not Found"})

    def body(self, handler):
        self.expect(handler.headers["Content-Type"] == "application/json", "Content-Type")
        return json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))

    def post(self, handler):
        body = self.body(handler)
        if not self.admitted(handler):
            return None
        parts = handler.path.split("/")
        if parts[:3] != ["", "v1", "agents"] or len(parts) != 5 or parts[4] != "messages":
            self.wrong.append(f"POST {handler.path}")
            return answer(handler, 404, {"detail": "Not Found"})
        self.expect(set(body) == {"messages"} and len(body["messages"]) == 1, f"body {body}")
        message = body["messages"][0]
        self.expect(set(message) == {"role", "content", "otid"} and message["role"] == "user", f"message {message}")
        self.expect(isinstance(message["content"], str) and message["content"], "content")
        self.expect(str(uuid.UUID(message["otid"])) == message["otid"], "otid")
        with self.lock:
            self.posts += 1
            fault = self.faults.pop(0) if self.faults else None
        handler.kept = lambda: self.messages.append({"agent": parts[3], **message})
        if fault and fault(handler):
            return None
        if parts[3] not in [agent["id"] for agent in self.agents]:
            return answer(handler, 404, {"detail": f"Agent {parts[3]} not found"})
        handler.kept()
        return answer(handler, 200, {"messages": [], "stop_reason": {"stop_reason": "end_turn"}, "usage": {}})

    def put(self, handler):
        body = self.body(handler)
        if not self.admitted(handler):
            return None
        self.expect(handler.path == "/v1/tools/", f"PUT {handler.path}")
        self.expect(set(body) <= {"source_code", "source_type", "description"}, f"tool {set(body)}")
        self.expect(body["source_type"] == "python", "source_type")
        self.tools.append(body)
        return answer(handler, 200, {"id": "tool-1", "name": "roll"})


def answer(handler, status, body, headers=()):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data)))
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)
    return True


def status(code, body=None, headers=(), keep=False):
    """A fault: answers with a status, and keeps the message all the same where told."""

    def fault(handler):
        if keep:
            handler.kept()
        return answer(handler, code, {"detail": f"fault {code}"} if body is None else body, headers)

    return fault


def cut(keep):
    """A fault: closes the connection without an answer."""

    def fault(handler):
        if keep:
            handler.kept()
        handler.close_connection = True
        return True

    return fault


def hold(reached, release, keep):
    """A fault: says that the message came, and answers only when released, at most a minute later."""

    def fault(handler):
        if keep:
            handler.kept()
        reached.set()
        release.wait(60)
        handler.close_connection = True
        return answer(handler, 200, {}) if keep else True

    return fault


def trickle(release):
    """A fault: an answer that never ends, a byte at a time, until released."""

    def fault(handler):
        handler.kept()
        handler.send_response(200)
        handler.end_headers()
        end = time.monotonic() + 60
        while not release.wait(0.05) and time.monotonic() < end:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        handler.close_connection = True
        return True

    return fault
