#!/usr/bin/env python3
"""Every kind of content that a tool can answer with, for the official conformance suite."""

import json
import sys
import time

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}
CONTACT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": ADDRESS},
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def text(said):
    return {"type": "text", "text": said}


def image():
    return {"type": "image", "data": PNG, "mimeType": "image/png"}


def embedded(uri, kind, said):
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": said}}


def say(line):
    print(line, file=sys.stderr, flush=True)


def simple_text():
    return "This is a simple text response for testing."


def image_content():
    return [image()]


def audio_content():
    return [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]


def embedded_resource():
    return [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


def multiple_content_types():
    data = json.dumps({"test": "data", "value": 123}, separators=(",", ":"))
    mixed = embedded("test://mixed-content-resource", "application/json", data)
    return [text("Multiple content types test:"), image(), mixed]


def error_handling():
    print(json.dumps({"error": "This tool intentionally returns an error for testing"}))
    sys.exit(1)


def tool_with_progress():
    for done in (0, 50, 100):
        say(json.dumps({"progress": done, "total": 100, "message": f"{done} of 100 done"}))
        time.sleep(0.05)
    return "Tool with progress executed successfully"


def tool_with_logging():
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        say(line)
        time.sleep(0.05)
    return "Tool with logging executed successfully"


def logging_tool():
    say("Logging tool executed")
    return "Logging tool executed successfully"


def reconnection():
    time.sleep(0.1)
    return "Reconnection test completed successfully. The answer came although the stream had been closed."


def json_schema():
    return [text("Contact taken: " + json.dumps(json.load(sys.stdin), sort_keys=True))]


def header():
    return [text("Region: " + sys.argv[2][len("--region=") :])]


COMMANDS = {
    "test_simple_text": (simple_text, "Answers with a simple text"),
    "test_image_content": (image_content, "Answers with an image of one red pixel"),
    "test_audio_content": (audio_content, "Answers with a sound of one sample"),
    "test_embedded_resource": (embedded_resource, "Answers with a resource in the answer itself"),
    "test_multiple_content_types": (multiple_content_types, "Answers with a text, an image and a resource"),
    "test_error_handling": (error_handling, "Always fails"),
    "test_tool_with_progress": (tool_with_progress, "Reports progress three times before it answers"),
    "test_tool_with_logging": (tool_with_logging, "Logs three lines before it answers"),
    "test_logging_tool": (logging_tool, "Logs one line and answers at once"),
    "test_reconnection": (reconnection, "Answers after a moment, for clients that lose their stream meanwhile"),
    "json_schema_2020_12_tool": (json_schema, "Tool with JSON Schema 2020-12 features"),
    "test_x_mcp_header": (header, "Repeats the region, which its client sends in a header too"),
}
MORE = {
    "test_tool_with_progress": {"progress": True},
    "json_schema_2020_12_tool": {"stdin": True, "inputSchema": CONTACT},
    "test_x_mcp_header": {
        "parameters": [
            {
                "name": "region",
                "type": "string",
                "description": "Any text",
                "required": True,
                "x-mcp-header": "Region",
            }
        ]
    },
}


def describe():
    commands = []
    for name, (_, description) in COMMANDS.items():
        command = {"name": name, "tool_name": name, "description": description, "annotations": {"readOnlyHint": True}}
        command.update(MORE.get(name, {}))
        commands.append(command)
    plugin = {"name": "content", "version": "1.0.0", "description": __doc__}
    return {"contract_version": "1.2", "plugin": plugin, "commands": commands}


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "--describe":
        print(json.dumps(describe()))
    elif word in COMMANDS:
        answer = COMMANDS[word][0]()
        print(answer if isinstance(answer, str) else json.dumps({"content": answer}))
    else:
        print(json.dumps({"error": f"`{word}` is no command of this program; --describe lists them"}))
        sys.exit(1)


if __name__ == "__main__":
    main()
