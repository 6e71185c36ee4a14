"""Drives smcpd with the official Python SDK, 1.x or 2.x, over one transport; one JSON line a scenario.

    python client.py '{"transport": "http", "address": "127.0.0.1:1", "command": [...], "env": {...}, ...}'

`run` starts it with the interpreter of the virtual environment that holds the SDK, and counts what it says.
"""

import contextlib
import glob
import json
import logging
import sys
import time
import uuid

import anyio
import mcp
from mcp import types
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client

TASK = json.loads(sys.argv[1])
NEW = hasattr(mcp, "Client")
CALCULATE = {"operation": "add", "a": 2, "b": 3}
INVALID_PARAMS = -32602

complaints = []
discovered = []


class Complaints(logging.Handler):
    def emit(self, record):
        # The SDK looks for an output schema under the name it called, and `demo_math.calculate` is listed otherwise.
        if "not listed by server" not in record.getMessage():
            complaints.append(f"{record.name}: {record.getMessage()}")


class Refused(Exception):
    """The server answered a request with a JSON-RPC error."""

    def __init__(self, error):
        super().__init__(f"{error.code}: {error.message}")
        self.code, self.message = error.code, error.message


class Peer:
    """One connection, with the differences between the two generations of the SDK taken out."""

    def __init__(self, session, client, name, revision):
        self.session, self.client, self.name, self.revision = session, client, name, revision

    async def ask(self, method, *arguments):
        failure = mcp.MCPError if NEW else mcp.McpError
        try:
            answer = await getattr(self.client or self.session, method)(*arguments)
        except failure as error:
            raise Refused(error.error) from None
        return answer.model_dump(by_alias=True, mode="json")

    async def call(self, name, arguments):
        return await self.ask("call_tool", name, arguments)

    def next_id(self):
        return self.session._dispatcher._next_id if NEW else self.session._request_id

    async def cancelled(self, name, arguments, until, then):
        """Calls a tool, waits for `until`, cancels the call as this SDK does, and waits for `then`."""
        async with anyio.create_task_group() as tasks:
            request = self.next_id()
            tasks.start_soon(self.call, name, arguments)
            await until()
            if NEW:
                tasks.cancel_scope.cancel()
            else:
                params = types.CancelledNotificationParams(requestId=request, reason="no longer wanted")
                message = types.CancelledNotification(method="notifications/cancelled", params=params)
                await self.session.send_notification(types.ClientNotification(message))
                # This generation waits on for an answer that a cancelled request never gets.
                await then()
                tasks.cancel_scope.cancel()
        await then()


@contextlib.asynccontextmanager
async def streams():
    if TASK["transport"] == "sse":
        opened = sse_client(f"http://{TASK['address']}/sse")
    elif TASK["transport"] == "stdio":
        command, *arguments = TASK["command"]
        server = StdioServerParameters(command=command, args=arguments, env=TASK["env"])
        opened = stdio_client(server, errlog=open(TASK["log"], "a"))
    elif NEW:
        from mcp.client.streamable_http import streamable_http_client

        opened = streamable_http_client(f"http://{TASK['address']}/mcp")
    else:
        from mcp.client.streamable_http import streamablehttp_client

        opened = streamablehttp_client(f"http://{TASK['address']}/mcp")
    async with opened as both:
        yield both[0], both[1]


@contextlib.asynccontextmanager
async def connect():
    if NEW:
        async with mcp.Client(streams()) as client:
            yield Peer(client.session, client, client.server_info.name, client.protocol_version)
    else:
        async with streams() as (read, write), mcp.ClientSession(read, write) as session:
            hello = await session.initialize()
            yield Peer(session, None, hello.serverInfo.name, hello.protocolVersion)


def expect(condition, seen):
    if not condition:
        raise AssertionError(f"got {seen!r}")


def processes(plugin):
    """Those that run a call of a plugin; one that waits for a call has dots in place of its id."""
    found = []
    state, end = f"SMCP_STATE_DIR={TASK['state']}".encode(), f"/{plugin}".encode()
    for path in glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            variables = file.read().split(b"\0")
            ours = any(one.startswith(state) and one.endswith(end) for one in variables)
            if ours and any(one.startswith(b"SMCP_CALL_ID=") and one[13:14] != b"." for one in variables):
                found.append(path)
    return found


def text(result):
    return result["content"][0]["text"]


async def refused(awaitable, *words):
    try:
        answer = await awaitable
    except Refused as error:
        expect(error.code == INVALID_PARAMS and all(word in error.message for word in words), str(error))
    else:
        raise AssertionError(f"got {answer!r} where {INVALID_PARAMS} is due")


async def initialize(peer):
    expect(peer.name == "smcpd" and peer.revision == TASK["revision"], (peer.name, peer.revision))


async def discover(peer):
    fell_back = peer.session.initialize_result is not None
    expect(discovered and fell_back == (TASK["revision"] < "2026-07-28"), (discovered, fell_back))


async def tools(peer):
    listed = await peer.ask("list_tools")
    expect(not listed.get("nextCursor"), listed.get("nextCursor"))
    named = {tool["name"]: tool["inputSchema"] for tool in listed["tools"]}
    expect({"health", "demo_text__echo", "worker__sleep"} <= set(named), sorted(named))
    schema = named["demo_math__calculate"]
    kinds = {name: of["type"] for name, of in schema["properties"].items()}
    expect(kinds == {"operation": "string", "a": "number", "b": "number"}, schema)
    expect(sorted(schema["required"]) == ["a", "b", "operation"], schema)
    expect(schema["properties"]["operation"]["enum"] == ["add", "subtract", "multiply", "divide"], schema)


async def calculate(peer, name="demo_math__calculate"):
    result = await peer.call(name, CALCULATE)
    expect(not result["isError"] and json.loads(text(result))["result"] == 5, result)
    expect(result.get("structuredContent", {"result": 5})["result"] == 5, result)


async def dotted(peer):
    await calculate(peer, "demo_math.calculate")


async def unknown(peer):
    await refused(peer.call("demo_math__nothing", {}), "demo_math__nothing")


async def bad_arguments(peer, arguments, name):
    answer = peer.call("demo_math__calculate", arguments)
    if TASK["revision"] < "2025-11-25":
        return await refused(answer, f"`{name}`")
    result = await answer
    expect(result["isError"] and f"`{name}`" in text(result), result)
    expect(result["structuredContent"]["error"]["code"] == "invalid_arguments", result)


async def missing(peer):
    await bad_arguments(peer, {"operation": "add", "a": 2}, "b")


async def mistyped(peer):
    await bad_arguments(peer, {"operation": "add", "a": "two", "b": 3}, "a")


async def concurrent(_peer):
    answers = {}

    async def echo(peer, message):
        answers[message] = await peer.call("demo_text__echo", {"message": message})

    async with connect() as one, connect() as other:
        # The newer SDK lists by itself before a call, as often as calls come meanwhile.
        await one.ask("list_tools")
        await other.ask("list_tools")
        expect(one.next_id() == other.next_id(), (one.next_id(), other.next_id()))
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(echo, one, f"one {number}")
                tasks.start_soon(echo, other, f"other {number}")
        expect(one.next_id() == other.next_id(), (one.next_id(), other.next_id()))
    astray = {asked: result for asked, result in answers.items() if json.loads(text(result)) != {"message": asked}}
    expect(len(answers) == 20 and not astray, f"{len(astray)} astray of {len(answers)}: {astray}")


async def ping(peer):
    expect(await peer.ask("send_ping") is not None, None)


async def failing(peer):
    result = await peer.call("worker__fail", {"message": "the disk is full"})
    expect(result["isError"] and text(result) == "the disk is full", result)
    if "structuredContent" in result:
        expect(result["structuredContent"]["error"]["code"] == "plugin_error", result)


async def timed_out(peer):
    seconds, started = unique(), time.monotonic()
    result = await peer.call("worker__sleep", {"seconds": seconds})
    took = time.monotonic() - started
    expect(result["isError"] and "timed out" in text(result) and 1.5 < took < 20, (took, result))
    expect(not processes("worker"), "the process lives on")


async def cancelled(peer, after=0):
    seconds = unique()

    async def runs():
        with anyio.fail_after(20):
            while not processes("patient"):
                await anyio.sleep(0.02)
        await anyio.sleep(after)

    async def gone():
        with anyio.move_on_after(15):
            while processes("patient"):
                await anyio.sleep(0.02)
        expect(not processes("patient"), "the process lives on")

    # `patient` is `worker` without its timeout: what ends here was cancelled.
    await peer.cancelled("patient__sleep", {"seconds": seconds}, runs, gone)
    await calculate(peer)


async def cancelled_late(peer):
    # By now a Streamable HTTP answer has become a stream.
    await cancelled(peer, after=2)


async def health(peer):
    result = await peer.call("health", {})
    expect(not result["isError"] and json.loads(text(result))["status"] == "ok", result)


def unique():
    """Returns about 30 seconds, in digits that no other command line has."""
    return float(f"30.{uuid.uuid4().int % 900000 + 100000}1")


SCENARIOS = {
    "initialize": initialize,
    "discover": discover,
    "list": tools,
    "call": calculate,
    "dotted name": dotted,
    "unknown tool": unknown,
    "missing argument": missing,
    "wrong type": mistyped,
    "20 at once": concurrent,
    "ping": ping,
    "failing tool": failing,
    "timeout": timed_out,
    "cancel": cancelled,
    "cancel late": cancelled_late,
    "health": health,
}


def tell(scenario, problem=None):
    print(json.dumps({"scenario": scenario, "ok": problem is None, "detail": problem}), flush=True)


def reason(error):
    while getattr(error, "exceptions", None):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {str(error) or 'no end in time'}"


def watch_discover():
    from mcp import ClientSession

    send = ClientSession.send_discover

    async def counted(self, *arguments, **named):
        discovered.append(arguments)
        return await send(self, *arguments, **named)

    ClientSession.send_discover = counted


async def main(connect=connect, scenarios=SCENARIOS):
    try:
        async with connect() as peer:
            for name in TASK["scenarios"]:
                if name == "no complaint":
                    continue
                try:
                    with anyio.fail_after(25):
                        await scenarios[name](peer)
                except Exception as error:
                    tell(name, reason(error))
                else:
                    tell(name)
    except Exception as error:
        complaints.append(reason(error))
    # What the SDK logged up to the end of the connection.
    tell("no complaint", "; ".join(complaints) or None)


def quiet():
    """What the SDK complains of counts, except what is about the client's own code."""
    if NEW:
        import warnings

        # `ping` has left the newest revision, which is not the one spoken here.
        warnings.simplefilter("ignore", mcp.shared.exceptions.MCPDeprecationWarning)
    logging.basicConfig(level=logging.WARNING, handlers=[Complaints()])


if __name__ == "__main__":
    if NEW:
        watch_discover()
    quiet()
    anyio.run(main)
