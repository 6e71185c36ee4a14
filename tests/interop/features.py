"""What a server may offer beside plain tools, as the official Python SDK, 1.x or 2.x, sees it; see client.py.

`run features` starts it. The plugins are those of tests/conformance.
"""

import contextlib
import json
import os

import anyio
import client
import mcp
from client import NEW, TASK, Peer, Refused, expect, processes, streams, text
from mcp import types

MODERN = TASK["revision"] >= "2026-07-28"
# By the names of a form's fields.
FORM = {"name": "Alice", "color": "blue", "username": "alice", "email": "alice@example.com", "context": "tests"}

logged = []
changed = []


async def on_log(params):
    logged.append((params.level, params.data))


async def on_message(message):
    method = getattr(getattr(message, "root", message), "method", "")
    if method == "notifications/tools/list_changed":
        changed.append(method)


async def on_sampling(_context, params):
    asked = params.messages[0].content
    content = types.TextContent(type="text", text=f"answer to {asked.text}")
    return types.CreateMessageResult(role="assistant", content=content, model="none")


async def on_roots(_context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///test/root", name="Test Root")])


async def on_form(_context, params):
    schema = params.model_dump(by_alias=True, mode="json")["requestedSchema"]
    return types.ElicitResult(action="accept", content={name: FORM[name] for name in schema["properties"]})


HANDLERS = {
    "sampling_callback": on_sampling,
    "list_roots_callback": on_roots,
    "logging_callback": on_log,
    "message_handler": on_message,
}


@contextlib.asynccontextmanager
async def connect():
    if NEW:
        more = {"elicitation_callback": on_form, "mode": TASK["mode"], "log_level": "info"}
        async with mcp.Client(streams(), **HANDLERS, **more) as one:
            yield Peer(one.session, one, one.server_info.name, one.protocol_version)
    else:
        async with streams() as (read, write), mcp.ClientSession(read, write, **HANDLERS) as session:
            hello = await session.initialize()
            yield Peer(session, None, hello.serverInfo.name, hello.protocolVersion)


def uri(said):
    if NEW:
        return said
    from pydantic import AnyUrl

    return AnyUrl(said)


async def within(seconds, holds):
    """Waits until something holds that others make true; a process that becomes its program is not seen for a moment."""
    with anyio.move_on_after(seconds):
        while not holds():
            await anyio.sleep(0.02)
        return True
    return holds()


async def progress(peer):
    steps = []

    async def on_progress(done, total, _message):
        steps.append((done, total))

    one = peer.client or peer.session
    result = await one.call_tool("test_tool_with_progress", {}, progress_callback=on_progress)
    expect("successfully" in text(result.model_dump(by_alias=True, mode="json")), result)
    await within(2, lambda: len(steps) == 3)
    expect(steps == [(0, 100), (50, 100), (100, 100)], steps)


async def log(peer):
    if not MODERN:
        await peer.ask("set_logging_level", "info")
    logged.clear()
    await peer.call("test_tool_with_logging", {})
    await within(2, lambda: len(logged) == 3)
    said = ["Tool execution started", "Tool processing data", "Tool execution completed"]
    expect(logged == [("info", line) for line in said], logged)


async def cancel(peer):
    async def runs():
        expect(await within(20, lambda: processes("tasks")), "no process")

    async def gone():
        expect(await within(15, lambda: not processes("tasks")), "the process lives on")

    await peer.cancelled("slow_compute", {"seconds": 30, "label": "nothing"}, runs, gone)
    expect(text(await peer.call("greet", {"name": "you"})) == "Hello, you!", None)


async def sampling(peer):
    said = text(await peer.call("test_sampling", {"prompt": "Hi"}))
    expect(said == "LLM response: answer to Hi", said)


async def roots(peer):
    said = text(await peer.call("test_input_required_result_list_roots", {}))
    expect(said == "Roots: Test Root", said)


async def resources(peer):
    listed = (await peer.ask("list_resources"))["resources"]
    names = [one["uri"] for one in listed]
    expect(names[0] == "test://static-text" and "test://static-binary" in names, names)
    templates = (await peer.ask("list_resource_templates"))["resourceTemplates"]
    expect([one["uriTemplate"] for one in templates] == ["test://template/{id}/data"], templates)
    for name, key, begin in (
        ("test://static-text", "text", "This is the content"),
        ("test://static-binary", "blob", "iVBORw0KGgo"),
        ("test://watched-resource", "text", "Watched resource"),
        ("test://template/7/data", "text", '{"id":"7"'),
    ):
        content = (await peer.ask("read_resource", uri(name)))["contents"][0]
        expect(content["uri"] == name and content[key].startswith(begin), content)
    try:
        answer = await peer.ask("read_resource", uri("test://nowhere"))
    except Refused as error:
        expect(error.code == (-32602 if MODERN else -32002), str(error))
    else:
        raise AssertionError(f"got {answer!r} where an error is due")


async def prompts(peer):
    listed = {one["name"]: one for one in (await peer.ask("list_prompts"))["prompts"]}
    wanted = listed["test_prompt_with_arguments"]["arguments"]
    expect([(one["name"], one["required"]) for one in wanted] == [("arg1", True), ("arg2", True)], wanted)
    messages = (await peer.ask("get_prompt", "test_prompt_with_arguments", {"arg1": "x", "arg2": "y"}))["messages"]
    expect(messages[0]["content"]["text"] == "Prompt with arguments: arg1='x', arg2='y'", messages)
    messages = (await peer.ask("get_prompt", "test_prompt_with_image"))["messages"]
    expect(messages[0]["content"]["type"] == "image", messages)


async def completion(peer):
    ref = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
    answer = await peer.ask("complete", ref, {"name": "arg1", "value": "testi"})
    expect(answer["completion"]["values"] == ["testing"], answer)


async def list_changed(peer):
    link = TASK["link"]

    async def names():
        bypass = {"cache_mode": "bypass"} if NEW else {}
        listed = await (peer.client or peer.session).list_tools(**bypass)
        return {tool.name for tool in listed.tools}

    async def watched(change, there):
        changed.clear()
        if MODERN:
            async with peer.client.listen(tools_list_changed=True) as events:
                change()
                with anyio.fail_after(10):
                    await events.__anext__()
        else:
            change()
            expect(await within(10, lambda: changed), "no notification")
        expect(("demo_text__echo" in await names()) == there, "the list is the old one")

    await watched(lambda: os.symlink(link["to"], link["at"]), True)
    await watched(lambda: os.unlink(link["at"]), False)


async def elicitation(peer):
    said = text(await peer.call("test_elicitation", {"message": "Who are you?"}))
    opening, _, content = said.partition("content=")
    expect(opening == "User response: action=accept, ", said)
    expect(json.loads(content) == {"username": "alice", "email": "alice@example.com"}, said)


async def two_rounds(peer):
    said = text(await peer.call("test_input_required_result_multi_round", {}))
    expect(said == "Alice likes blue", said)


async def asking_prompt(peer):
    messages = (await peer.ask("get_prompt", "test_input_required_result_prompt"))["messages"]
    expect(messages[0]["content"]["text"].endswith("context: tests"), messages)


SCENARIOS = {
    "initialize": client.initialize,
    "progress": progress,
    "log": log,
    "cancel": cancel,
    "sampling": sampling,
    "roots": roots,
    "resources": resources,
    "prompts": prompts,
    "completion": completion,
    "list changed": list_changed,
    "elicitation": elicitation,
    "two rounds": two_rounds,
    "asking prompt": asking_prompt,
}

if __name__ == "__main__":
    client.quiet()
    try:
        anyio.run(client.main, connect, SCENARIOS)
    finally:
        # One that failed in between may have left it.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(TASK["link"]["at"])
