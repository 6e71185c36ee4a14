"""What holds behind each proxy. A check returns a figure to show, or nothing; it fails with what it raises."""

import collections
import json
import os
import subprocess
import time

from clients import NEWEST, Alone, Events, Lost, Over, Refused, Session, Stream, post, text_of
from fleet import NAMES
from load import on

THREE = set(NAMES[:3])
TASKS = "io.modelcontextprotocol/tasks"


def the_file_passes_the_proxys_own_check(proxy):
    done = subprocess.run(proxy.check(), cwd=proxy.directory, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    said = (done.stdout + done.stderr).lower()
    assert "[warn" not in said and "warning" not in said and "deprecated" not in said, said


def requests_that_stand_alone_go_round(proxy):
    client, seen = Alone(proxy.address), collections.Counter()
    for _ in range(24):
        said, told = client.ask("tools/call", {"name": "scale__where", "arguments": {}})
        answered = said["content"][0]["text"].strip()
        assert proxy.instance(told) == answered, (told, answered)
        seen[answered] += 1
    assert set(seen) == THREE and min(seen.values()) >= 3, seen
    return " ".join(f"{name}:{seen[name]}" for name in sorted(seen))


def headers_pass(proxy):
    client = Alone(proxy.address)
    arguments = {"region": "north"}
    said = client.call("scale__where", arguments, {"Mcp-Param-My_Region.1": "north"})
    assert said.endswith(" north"), said
    # The daemon compares: so it is the header that came through.
    for sent in {}, {"Mcp-Param-My_Region.1": "south"}:
        try:
            client.call("scale__where", arguments, sent)
        except Refused as error:
            assert "-32020" in str(error), error
        else:
            raise AssertionError(f"taken with {sent}")
    status, _, messages = post(proxy.address, "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"},
                               {"MCP-Protocol-Version": "1999-01-01"})
    assert status == 400 and messages[0]["error"]["code"] == -32022, (status, messages)
    said, _ = client.ask("server/discover", headers={"Authorization": "Bearer some"})
    assert NEWEST in said["supportedVersions"], said
    # Of each daemon for itself.
    assert post(proxy.address, "/metrics", {})[0] == 404


def a_large_request_passes_and_one_that_is_too_large_does_not(proxy):
    client = Alone(proxy.address)
    said, _ = client.ask("tools/list", {"padding": "x" * (3 << 20)})
    assert said["tools"]
    try:
        status, _, _ = post(proxy.address, "/mcp", {"padding": "x" * (5 << 20)})
    except Lost:
        # The answer was given before all of it was sent, and the connection closed.
        return "cut off"
    assert status == 413, status
    return "413"


def a_session_stays_with_its_daemon(proxy):
    for kind in Session, Stream:
        of = set()
        for client in [kind(proxy.address).open() for _ in range(6)]:
            answered = {client.call("scale__where", {}) for _ in range(3)}
            assert answered == {proxy.instance(client.instance)}, (answered, client.instance)
            of |= answered
            client.close()
        assert of == THREE, (kind, of)
    over = Session(proxy.address).open()
    assert over.end() in (200, 204)
    try:
        over.call("scale__where", {})
    except Over:
        return
    raise AssertionError("a session that is over was served")


def a_client_that_leaves_ends_its_call_and_may_ask_what_became_of_it(proxy):
    session = Session(proxy.address).open()
    name = f"left-{proxy.name}"
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": {"name": "scale__work", "arguments": {"id": name, "seconds": 3}, "_meta": {"progressToken": 1}}}
    begun = time.monotonic()
    stream = Events(proxy.address, "POST", "/mcp", body, {
        "Accept": "application/json, text/event-stream", **session.named()})
    # The first event came before the call was over: nothing on the way holds it back.
    first = read_id(stream)
    early = time.monotonic() - begun
    assert early < 2.7, early
    assert stream.answer.headers["X-Accel-Buffering"] == "no", dict(stream.answer.headers)
    stream.close()
    # Its end has to be noticed first.
    time.sleep(0.5)
    again = Events(proxy.address, "GET", "/mcp", None, {**session.named(), "Last-Event-ID": first})
    answer = again.message()
    again.close()
    assert answer["id"] == 7 and "connection" in json.dumps(answer), answer
    began, ended = proxy.fleet.ran()
    assert len(began[name]) == 1 and name not in ended, began[name]
    time.sleep(max(0, begun + 3.3 - time.monotonic()))
    assert name not in proxy.fleet.ran()[1], "the call went on"


def read_id(stream):
    while line := stream.answer.readline().decode():
        if line.startswith("id:"):
            return line[3:].strip()
    raise AssertionError("the stream has no id")


def listening(address):
    """Returns the stream of `subscriptions/listen`, once it is acknowledged."""
    about = {"protocolVersion": NEWEST, "clientCapabilities": {}}
    params = {"notifications": {"toolsListChanged": True},
              "_meta": {f"io.modelcontextprotocol/{name}": value for name, value in about.items()}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}
    events = Events(address, "POST", "/mcp", body,
                    {"MCP-Protocol-Version": NEWEST, "Mcp-Method": "subscriptions/listen"})
    events.until("notifications/subscriptions/acknowledged")
    return events


def listeners_on_each_daemon_hear_of_a_new_plugin(proxy):
    changed = "notifications/tools/list_changed"
    opens = [("subscriptions/listen", lambda: listening(proxy.address)),
             ("GET", lambda: Session(proxy.address).open().listen()),
             ("SSE", lambda: Stream(proxy.address).open().events)]
    listeners = [(kind, on(proxy, name, opened)) for kind, opened in opens for name in sorted(THREE) * 2]
    link = os.path.join(proxy.fleet.plugins, "another")
    begun = time.monotonic()
    os.symlink(os.path.join(proxy.fleet.plugins, "scale"), link)
    try:
        for _, events in listeners:
            events.until(changed)
        took = time.monotonic() - begun
        listed = Alone(proxy.address)
        for _ in range(6):
            names = {tool["name"] for tool in listed.ask("tools/list")[0]["tools"]}
            assert "another__where" in names, names
    finally:
        os.unlink(link)
        for _, events in listeners:
            events.close()
    assert took < 10, took
    return f"{len(listeners)} listeners"


def questions_go_round(proxy):
    """Each is asked by one daemon, and its answer goes to whichever is next: they share the key of the state."""
    can, seen = {"elicitation": {}}, set()
    client = Alone(proxy.address)
    for number in range(24):
        call = {"name": "scale__ask", "arguments": {}}
        first, told = client.ask("tools/call", call, capabilities=can)
        assert first["resultType"] == "input_required", first
        asked = proxy.instance(told)
        # So that each asks, and each is next.
        for _ in range(number // 8):
            client.call("scale__where", {})
        given = {"go": {"action": "accept", "content": {}}}
        said, told = client.ask("tools/call", {**call, "inputResponses": given, "requestState": first["requestState"]},
                                capabilities=can)
        answered = text_of(said)
        assert proxy.instance(told) == answered, (told, answered)
        seen.add((asked, answered))
    elsewhere = {pair for pair in seen if pair[0] != pair[1]}
    assert {asked for asked, _ in elsewhere} == {answered for _, answered in elsewhere} == THREE, seen
    return f"24 of 24 answered, {len(elsewhere)} ways from one daemon to another"


def held(client, name):
    """Begins a call that goes on as a task; returns its id."""
    can = {"extensions": {TASKS: {}}}
    said, _ = client.ask("tools/call", {"name": "scale__long", "arguments": {"id": name, "seconds": 3}}, capabilities=can)
    assert said["resultType"] == "task", said
    return said["taskId"]


def looked_for(client, task):
    """Returns how many of twelve requests for it did not find it."""
    missed = 0
    for _ in range(12):
        try:
            said, _ = client.ask("tasks/get", {"taskId": task}, {"Mcp-Name": task}, {"extensions": {TASKS: {}}})
            assert said["status"] in ("working", "completed"), said
        except Refused as error:
            assert "-32602" in str(error) and "no task of yours" in str(error), error
            missed += 1
    return missed


def a_task_needs_the_daemon_that_has_it(proxy):
    client = Alone(proxy.address)
    missed = looked_for(client, held(client, f"round-{proxy.name}"))
    assert 0 < missed < 12, missed
    proxy.by_caller()
    time.sleep(0.5)
    assert looked_for(client, held(client, f"caller-{proxy.name}")) == 0
    return f"{missed} of 12 did not find it without affinity, 0 by caller"


def a_client_that_comes_back_before_its_end_is_noticed_keeps_its_call(proxy):
    session = Session(proxy.address).open()
    name = f"back-{proxy.name}"
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": {"name": "scale__work", "arguments": {"id": name, "seconds": 3}}}
    old = Events(proxy.address, "POST", "/mcp", body, {
        "Accept": "application/json, text/event-stream", **session.named()})
    seen = read_id(old)
    new = Events(proxy.address, "GET", "/mcp", None, {**session.named(), "Last-Event-ID": seen})
    try:
        old.event()
    except Over:
        pass
    else:
        raise AssertionError("the old stream was told something")
    old.close()
    answer = new.message()
    new.close()
    assert answer["id"] == 7 and text_of(answer["result"]), answer
    assert name in proxy.fleet.ran()[1], "the call did not end"


EACH = [
    the_file_passes_the_proxys_own_check,
    requests_that_stand_alone_go_round,
    headers_pass,
    a_large_request_passes_and_one_that_is_too_large_does_not,
    a_session_stays_with_its_daemon,
    a_client_that_leaves_ends_its_call_and_may_ask_what_became_of_it,
    a_client_that_comes_back_before_its_end_is_noticed_keeps_its_call,
    questions_go_round,
    listeners_on_each_daemon_hear_of_a_new_plugin,
]
# With what a proxy must be able to do for it.
SOME = [(a_task_needs_the_daemon_that_has_it, "by_caller")]
