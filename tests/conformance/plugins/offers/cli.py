#!/usr/bin/env python3
"""Resources, a template, prompts and completion, for the official conformance suite; and who changes `changing`."""

import json
import os
import sys

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
TEMPLATE = "test://template/{id}/data"
# What is known to complete from.
KNOWN = {
    ("prompt:test_prompt_with_arguments", "arg1"): ["test", "testing", "tested"],
    ("prompt:test_prompt_with_arguments", "arg2"): ["text", "value"],
    ("resource:" + TEMPLATE, "id"): ["1", "12", "123"],
}
# What comes to `changing` and goes again.
VISITOR = "changing_visitor"
VISITING_TOOL = {
    "name": "visit",
    "tool_name": VISITOR,
    "description": "A tool that comes and goes",
    "annotations": {"readOnlyHint": True},
}
VISITING_PROMPT = {
    "name": VISITOR,
    "description": "A prompt that comes and goes",
    "messages": [{"role": "user", "content": {"type": "text", "text": "Here I am."}}],
}


def words():
    """The `--name=value` words behind the command; a contract says that they are written so."""
    return dict(word[2:].split("=", 1) for word in sys.argv[2:])


def text(said):
    return {"type": "text", "text": said}


def user(*blocks):
    return [{"role": "user", "content": block} for block in blocks]


def change(what, visitor):
    """Takes the visitor out of the contract of `changing`, or puts it back; returns what it did."""
    here = os.path.dirname(os.path.realpath(__file__))
    path = os.path.join(os.path.dirname(here), "changing", "contract.json")
    with open(path, encoding="utf-8") as file:
        contract = json.load(file)
    offered = contract.get(what, [])
    staying = [one for one in offered if one["name"] != visitor["name"]]
    came = len(staying) == len(offered)
    contract[what] = staying + [visitor] * came
    # Renamed into place, so that nobody ever reads half of it.
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(contract, file, indent=2)
        file.write("\n")
    os.replace(path + ".new", path)
    return "came" if came else "went"


def change_tools():
    return "A tool " + change("commands", VISITING_TOOL)


def change_prompts():
    return "A prompt " + change("prompts", VISITING_PROMPT)


def templated():
    wanted = words()
    data = {"id": wanted["id"], "templateTest": True, "data": f"Data for ID: {wanted['id']}"}
    content = {"uri": wanted["uri"], "mimeType": "application/json", "text": json.dumps(data, separators=(",", ":"))}
    return json.dumps({"contents": [content]})


def complete():
    wanted = words()
    known = KNOWN.get((wanted["ref"], wanted["argument"]), [])
    values = [value for value in known if value.startswith(wanted["value"])]
    return json.dumps({"values": values, "total": len(values), "hasMore": False})


COMMANDS = {
    "test_trigger_tool_change": (change_tools, "Changes the list of tools: one comes, or it goes again"),
    "test_trigger_prompt_change": (change_prompts, "Changes the list of prompts: one comes, or it goes again"),
}
OFFERED = {"template": templated, "complete": complete}


def resources():
    return [
        {
            "uri": "test://static-text",
            "name": "Static Text Resource",
            "description": "A static text resource for testing",
            "mimeType": "text/plain",
            "text": "This is the content of the static text resource.",
        },
        {
            "uri": "test://static-binary",
            "name": "Static Binary Resource",
            "description": "An image of one red pixel",
            "mimeType": "image/png",
            "blob": PNG,
        },
        {
            "uri": "test://watched-resource",
            "name": "Watched Resource",
            "description": "A file beside the plugin, to be subscribed to",
            "mimeType": "text/plain",
            "file": "watched.txt",
        },
    ]


def templates():
    return [
        {
            "uriTemplate": TEMPLATE,
            "name": "Resource Template",
            "description": "The data that belongs to an id",
            "mimeType": "application/json",
            "command": "template",
        }
    ]


def argument(name):
    return {"name": name, "description": f"The prompt's {name}", "required": True}


def prompts():
    resource = {"uri": "{{resourceUri}}", "mimeType": "text/plain", "text": "Embedded resource content for testing."}
    image = {"type": "image", "data": PNG, "mimeType": "image/png"}
    return [
        {
            "name": "test_simple_prompt",
            "description": "A simple prompt for testing",
            "messages": user(text("This is a simple prompt for testing.")),
        },
        {
            "name": "test_prompt_with_arguments",
            "description": "A prompt that repeats its two arguments",
            "arguments": [argument("arg1"), argument("arg2")],
            "messages": user(text("Prompt with arguments: arg1='{{arg1}}', arg2='{{arg2}}'")),
        },
        {
            "name": "test_prompt_with_embedded_resource",
            "description": "A prompt with a resource in it",
            "arguments": [argument("resourceUri")],
            "messages": user(
                {"type": "resource", "resource": resource}, text("Please process the embedded resource above.")
            ),
        },
        {
            "name": "test_prompt_with_image",
            "description": "A prompt with an image in it",
            "messages": user(image, text("Please analyze the image above.")),
        },
    ]


def describe():
    commands = [
        {"name": name, "tool_name": name, "description": description} for name, (_, description) in COMMANDS.items()
    ]
    return {
        "contract_version": "1.2",
        "plugin": {"name": "offers", "version": "1.0.0", "description": __doc__},
        "commands": commands,
        "resources": resources(),
        "resource_templates": templates(),
        "prompts": prompts(),
        "completion": "complete",
    }


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "--describe":
        print(json.dumps(describe()))
    elif word in COMMANDS:
        print(COMMANDS[word][0]())
    elif word in OFFERED:
        print(OFFERED[word]())
    else:
        print(json.dumps({"error": f"`{word}` is no command of this program; --describe lists them"}))
        sys.exit(1)


if __name__ == "__main__":
    main()
