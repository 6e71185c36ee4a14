#!/usr/bin/env python3
"""Commands that need something of the client before they can answer, for the official conformance suite.

Such a command prints `input_required` and ends; it is run again with the answers in SMCP_INPUT. Nothing else is
remembered in between but the `state` that it printed.
"""

import json
import os
import sys


def question(method, **params):
    return {"method": method, "params": params}


def elicit(message, properties, required=None):
    required = list(properties) if required is None else required
    schema = {"type": "object", "properties": properties, "required": required}
    return question("elicitation/create", message=message, requestedSchema=schema)


def sample(words, most):
    messages = [{"role": "user", "content": {"type": "text", "text": words}}]
    return question("sampling/createMessage", messages=messages, maxTokens=most)


def ask(questions, state=None):
    asked = {"input_required": questions}
    if state is not None:
        asked["state"] = state
    return asked


def text(said):
    return {"content": [{"type": "text", "text": said}]}


STRING = {"type": "string"}
NAME = elicit("What is your name?", {"name": STRING})
CONFIRM = elicit("Please confirm", {"ok": {"type": "boolean"}})
ROOTS = question("roots/list")


class Round:
    """What one run knows: the arguments, the answers so far and the state."""

    def __init__(self, arguments):
        given = json.loads(os.environ.get("SMCP_INPUT") or "{}")
        self.arguments = arguments
        self.answers = given.get("responses") or {}
        self.state = given.get("state") or {}

    def answer(self, key):
        answer = self.answers.get(key)
        return answer if isinstance(answer, dict) else {}

    def action(self, key):
        """What became of an elicitation: `accept`, `decline` or `cancel`; `None` where it is to be asked (again)."""
        action = self.answer(key).get("action")
        return action if action in ("accept", "decline", "cancel") else None

    def refused(self, key):
        return self.action(key) in ("decline", "cancel")

    def value(self, key, field, kind=str):
        """The field of an accepted elicitation; `None` where that is not what was answered."""
        content = self.answer(key).get("content")
        if self.action(key) != "accept" or not isinstance(content, dict):
            return None
        value = content.get(field)
        return value if isinstance(value, kind) and value != "" else None

    def sampled(self, key):
        """The text that the client's model wrote, if it did."""
        content = self.answer(key).get("content")
        blocks = content if isinstance(content, list) else [content]
        texts = [block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str)]
        return "\n".join(texts) or None

    def roots(self, key):
        roots = self.answer(key).get("roots")
        return roots if isinstance(roots, list) else None


def sampling(now):
    said = now.sampled("answer")
    if said is None:
        return ask({"answer": sample(now.arguments["prompt"], 100)})
    return text("LLM response: " + said)


def form(questions_of, opening):
    """A command that asks one form and tells what became of it."""

    def command(now):
        if now.action("form") is None:
            return ask({"form": questions_of(now)})
        content = json.dumps(now.answer("form").get("content"))
        return text(f"{opening}: action={now.action('form')}, content={content}")

    return command


def user(now):
    fields = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    return elicit(now.arguments["message"], fields)


def defaults(_now):
    fields = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return elicit("Please check these values", fields, [])


def titled(value, *titles):
    return [{"const": f"{value}{number}", "title": title} for number, title in enumerate(titles, 1)]


def enums(_now):
    options = ["option1", "option2", "option3"]
    first = titled("value", "First Option", "Second Option", "Third Option")
    several = titled("value", "First Choice", "Second Choice", "Third Choice")
    fields = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": first},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": several}},
    }
    return elicit("Please choose", fields, [])


def missing_capability(now):
    if now.sampled("answer") is None:
        return ask({"answer": sample("Say hello.", 50)})
    return text("The client can be asked for sampling.")


def elicited_name(now):
    if now.refused("user_name"):
        return text("No name was given.")
    name = now.value("user_name", "name")
    return ask({"user_name": NAME}) if name is None else text(f"Hello, {name}!")


def sampled_capital(now):
    said = now.sampled("capital_question")
    if said is None:
        return ask({"capital_question": sample("What is the capital of France?", 100)})
    return text(said)


def listed_roots(now):
    roots = now.roots("client_roots")
    if roots is None:
        return ask({"client_roots": ROOTS})
    named = ", ".join(root.get("name") or root["uri"] for root in roots)
    return text(f"Roots: {named or 'none'}")


def confirmed(now):
    if now.refused("confirm"):
        return text("Not confirmed.")
    if not now.state or now.value("confirm", "ok", bool) is None:
        return ask({"confirm": CONFIRM}, {"asked": True})
    return text("state-ok")


def multiple_inputs(now):
    questions = {"user_name": NAME, "greeting": sample("Generate a greeting", 50), "client_roots": ROOTS}
    name = "somebody" if now.refused("user_name") else now.value("user_name", "name")
    greeting, roots = now.sampled("greeting"), now.roots("client_roots")
    if not now.state or name is None or greeting is None or roots is None:
        return ask(questions, {"asked": list(questions)})
    return text(f"{greeting} {name}, with {len(roots)} roots")


def multi_round(now):
    if now.refused("step1") or now.refused("step2"):
        return text("Not all questions were answered.")
    name = now.state.get("name") or now.value("step1", "name")
    if name is None:
        return ask({"step1": elicit("Step 1: What is your name?", {"name": STRING})}, {"round": 1})
    color = now.value("step2", "color") if now.state.get("name") else None
    if color is None:
        questions = {"step2": elicit("Step 2: What is your favorite color?", {"color": STRING})}
        return ask(questions, {"round": 2, "name": name})
    return text(f"{name} likes {color}")


def by_capabilities(now):
    declared = json.loads(os.environ.get("SMCP_CLIENT_CAPABILITIES") or "{}")
    questions = {
        "sampling": sample("Say hello.", 50),
        "elicitation": CONFIRM,
        "roots": ROOTS,
    }
    questions = {key: asked for key, asked in questions.items() if key in declared and not now.answer(key)}
    return ask(questions) if questions else text("Nothing is left to ask this client for.")


def prompt(now):
    context = "none" if now.refused("user_context") else now.value("user_context", "context")
    if context is None:
        return ask({"user_context": elicit("What context should the prompt use?", {"context": STRING})})
    message = {"role": "user", "content": {"type": "text", "text": f"Answer with this context: {context}"}}
    return {"messages": [message]}


PROMPT_WORD = "prompt"
COMMANDS = {
    "test_sampling": (sampling, "Has the client's model answer a prompt", "prompt"),
    "test_elicitation": (form(user, "User response"), "Asks the user for a name and an address", "message"),
    "test_elicitation_sep1034_defaults": (
        form(defaults, "Elicitation completed"),
        "Asks the user for values that have defaults",
        None,
    ),
    "test_elicitation_sep1330_enums": (
        form(enums, "Elicitation completed"),
        "Asks the user to choose, in every way that a form knows",
        None,
    ),
    "test_missing_capability": (missing_capability, "Needs a client that offers sampling", None),
    "test_streaming_elicitation": (
        form(lambda _now: elicit("Please enter a value", {"value": STRING}), "Elicitation completed"),
        "Asks the user for a value",
        None,
    ),
    "test_input_required_result_elicitation": (elicited_name, "Asks the user for a name and greets", None),
    "test_input_required_result_sampling": (sampled_capital, "Asks the client's model for a capital", None),
    "test_input_required_result_list_roots": (listed_roots, "Names the client's roots", None),
    "test_input_required_result_request_state": (confirmed, "Asks for a confirmation and remembers it", None),
    "test_input_required_result_tampered_state": (confirmed, "Asks for a confirmation that none can forge", None),
    "test_input_required_result_multiple_inputs": (multiple_inputs, "Asks three things at once", None),
    "test_input_required_result_multi_round": (multi_round, "Asks for a name, then for a color", None),
    "test_input_required_result_capabilities": (by_capabilities, "Asks what the client says it can answer", None),
}


def describe():
    commands = []
    for name, (_, description, parameter) in COMMANDS.items():
        command = {"name": name, "tool_name": name, "description": description, "annotations": {"readOnlyHint": True}}
        if parameter is not None:
            wanted = {"name": parameter, "type": "string", "description": "What to ask", "required": True}
            command.update(stdin=True, parameters=[wanted])
        commands.append(command)
    asking = {
        "name": "test_input_required_result_prompt",
        "description": "A prompt that asks the user for its context first",
        "command": PROMPT_WORD,
    }
    plugin = {"name": "asking", "version": "1.0.0", "description": __doc__.splitlines()[0]}
    return {"contract_version": "1.2", "plugin": plugin, "commands": commands, "prompts": [asking]}


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "--describe":
        print(json.dumps(describe()))
    elif word == PROMPT_WORD:
        print(json.dumps(prompt(Round({}))))
    elif word in COMMANDS:
        command, _, parameter = COMMANDS[word]
        print(json.dumps(command(Round(json.load(sys.stdin) if parameter else {}))))
    else:
        print(json.dumps({"error": f"`{word}` is no command of this program; --describe lists them"}))
        sys.exit(1)


if __name__ == "__main__":
    main()
