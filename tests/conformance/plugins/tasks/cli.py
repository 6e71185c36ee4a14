#!/usr/bin/env python3
"""Commands that may run as tasks, for the official conformance suite; `greet` is the one that never does."""

import json
import os
import sys
import time


def text(said):
    return {"content": [{"type": "text", "text": said}]}


def elicit(message, properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def ask(questions):
    return {"input_required": questions}


def accepted(answers, key, field, kind):
    """The field of an accepted elicitation; `False` where it was refused, `None` where it is to be asked (again)."""
    answer = answers.get(key)
    if not isinstance(answer, dict):
        return None
    if answer.get("action") in ("decline", "cancel"):
        return False
    content = answer.get("content")
    value = content.get(field) if isinstance(content, dict) else None
    return value if answer.get("action") == "accept" and isinstance(value, kind) else None


def work():
    """Longer than a call may take before it becomes a task; what asks at once is no task yet."""
    time.sleep(1.2)


def greet(arguments, _answers):
    return text(f"Hello, {arguments['name']}!")


def slow_compute(arguments, _answers):
    seconds = arguments.get("seconds", 0)
    time.sleep(max(seconds, 0))
    return text(f"Computed {arguments.get('label', 'nothing in particular')} in {seconds} seconds.")


def failing_job(_arguments, _answers):
    work()
    print(json.dumps({"error": "This job intentionally fails for testing"}))
    sys.exit(1)


def protocol_error_job(_arguments, answers):
    roots = answers.get("client_roots")
    if roots is None:
        work()
        return ask({"client_roots": {"method": "roots/list", "params": {}}})
    return text(f"The client has {len(roots.get('roots', []))} roots.")


def confirm_delete(arguments, answers):
    sure = accepted(answers, "confirmation", "confirm", bool)
    if sure is None:
        work()
        return ask({"confirmation": elicit(f"Delete {arguments['filename']}?", {"confirm": {"type": "boolean"}})})
    return text(f"{arguments['filename']} {'would be deleted' if sure else 'is kept'}; nothing was touched.")


def multi_input(_arguments, answers):
    questions = {
        "name": elicit("What is your name?", {"name": {"type": "string"}}),
        "color": elicit("What is your favorite color?", {"color": {"type": "string"}}),
    }
    # The suite answers both with whatever it likes.
    if not all(isinstance(answers.get(key), dict) for key in questions):
        work()
        return ask(questions)
    return text("Both inputs arrived.")


def with_task(_arguments, answers):
    name = accepted(answers, "user_name", "name", str)
    if name is None:
        return ask({"user_name": elicit("What is your name?", {"name": {"type": "string"}})})
    time.sleep(1)
    return text(f"Hello, {name}! The task is done." if name else "No name was given.")


def parameter(name, kind, description, required=False):
    return {"name": name, "type": kind, "description": description, "required": required}


COMMANDS = {
    "greet": (greet, None, "Greets someone at once", [parameter("name", "string", "Whom to greet", True)]),
    "slow_compute": (
        slow_compute,
        "optional",
        "Computes for as long as it is told",
        [parameter("seconds", "number", "How long it takes"), parameter("label", "string", "What is computed")],
    ),
    "failing_job": (failing_job, "required", "Works for a moment and fails", []),
    "protocol_error_job": (protocol_error_job, "optional", "Needs the client's roots, or ends in an error", []),
    "confirm_delete": (
        confirm_delete,
        "optional",
        "Asks whether to delete a file, and touches none",
        [parameter("filename", "string", "The file's name", True)],
    ),
    "multi_input": (multi_input, "optional", "Asks two things at once", []),
    "test_tool_with_task": (with_task, "required", "Asks for a name and then works for a moment", []),
}


def describe():
    commands = []
    for name, (_, task, description, parameters) in COMMANDS.items():
        # They change nothing, and one that takes long is in nobody's way.
        command = {"name": name, "tool_name": name, "description": description, "annotations": {"readOnlyHint": True}}
        command.update(stdin=True, parameters=parameters)
        if task is not None:
            command["task"] = task
        commands.append(command)
    plugin = {"name": "tasks", "version": "1.0.0", "description": __doc__}
    return {"contract_version": "1.2", "plugin": plugin, "commands": commands}


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "--describe":
        print(json.dumps(describe()))
    elif word in COMMANDS:
        answers = json.loads(os.environ.get("SMCP_INPUT") or "{}").get("responses") or {}
        print(json.dumps(COMMANDS[word][0](json.load(sys.stdin), answers)))
    else:
        print(json.dumps({"error": f"`{word}` is no command of this program; --describe lists them"}))
        sys.exit(1)


if __name__ == "__main__":
    main()
