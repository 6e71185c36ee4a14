"""The one description of this plugin: `--describe` prints it, and the parser is built from it."""

import argparse
import json

# What only looks, and what talks to BotFather. A message or a click can delete a bot: BotFather's own words decide.
LOOKS = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": True}
TALKS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}

TIMEOUT = {
    "name": "timeout",
    "type": "integer",
    "description": "How many seconds to wait for BotFather's answer",
    "default": 20,
    "minimum": 1,
    "maximum": 120,
}
COMMAND_ITEM = {
    "type": "object",
    "properties": {
        "command": {"type": "string", "description": "Up to 32 lower-case letters, digits and underscores"},
        "description": {"type": "string", "description": "What it does, in 1 to 256 characters"},
    },
    "required": ["command", "description"],
    "additionalProperties": False,
}

CONTRACT = {
    "contract_version": "1.1",
    "plugin": {
        "name": "botfather",
        "title": "Telegram's BotFather",
        "version": "1.0.0",
        "description": "Talk to Telegram's BotFather as a user: make bots, set their commands, click through its menus.",
        # One session file, one conversation: calls take turns.
        "concurrency": 1,
        "env": [
            {"name": "TELEGRAM_API_ID", "description": "The api_id of an application made at my.telegram.org",
             "required": True, "secret": True},
            {"name": "TELEGRAM_API_HASH", "description": "The api_hash of that application",
             "required": True, "secret": True},
            {"name": "TELEGRAM_PHONE", "description": "The account's phone number, for `login` only",
             "required": False, "secret": True},
        ],
    },
    "commands": [
        {
            "name": "click-button",
            "title": "Click a button",
            "description": "Click a button of one of BotFather's messages, by its text or by row and column, and wait for "
            "the answer: a new message, or the same one edited. Returns the answer with its buttons.",
            "annotations": TALKS,
            "parameters": [
                {"name": "msg-id", "type": "integer", "description": "The id of the message with the button",
                 "required": True, "minimum": 1},
                {"name": "button-text", "type": "string", "description": "The text of the button, such as Payments"},
                {"name": "row", "type": "integer", "description": "The button's row, counted from 1, in place of its text",
                 "minimum": 1},
                {"name": "column", "type": "integer", "description": "The button's column, counted from 1, with row",
                 "minimum": 1},
                TIMEOUT,
            ],
        },
        {
            "name": "send-message",
            "title": "Send a message",
            "description": "Send BotFather a text or a command such as /mybots, and wait for its answer with its buttons.",
            "annotations": TALKS,
            "parameters": [
                {"name": "message", "type": "string", "description": "The text to send", "required": True},
                TIMEOUT,
            ],
        },
        {
            "name": "list-messages",
            "title": "List messages",
            "description": "List the latest messages of the chat with BotFather, newest first, with ids and buttons. "
            "Bot tokens in them are masked.",
            "annotations": LOOKS,
            "parameters": [
                {"name": "limit", "type": "integer", "description": "How many messages", "default": 10,
                 "minimum": 1, "maximum": 100},
            ],
        },
        {
            "name": "new-bot",
            "title": "Make a bot",
            "description": "Make a bot with BotFather's /newbot. Its token is written to a private file, and returned only "
            "with show-token.",
            "annotations": {**TALKS, "destructiveHint": False},
            "progress": True,
            "parameters": [
                {"name": "name", "type": "string", "description": "The name people see, up to 64 characters",
                 "required": True},
                {"name": "username", "type": "string", "required": True,
                 "description": "Its unique name: 5 to 32 letters, digits and underscores, ending in bot"},
                {"name": "show-token", "type": "boolean", "action": "store_true",
                 "description": "Return the token in place of writing it to a file"},
            ],
        },
        {
            "name": "set-commands",
            "title": "Set a bot's commands",
            "description": "Replace the list of commands that a bot shows in its menu; an empty list removes them all.",
            "annotations": {**TALKS, "idempotentHint": True},
            "progress": True,
            "parameters": [
                {"name": "bot", "type": "string", "description": "The bot's username, such as tetris_bot", "required": True},
                {"name": "commands", "type": "array", "items": COMMAND_ITEM, "arg_style": "json", "required": True,
                 "description": 'The commands as JSON: [{"command": "start", "description": "Begin"}]'},
            ],
        },
        {
            "name": "login",
            "title": "Log in",
            "description": "Log in to Telegram. Asks for phone, code and password on a terminal, so it cannot be called as a "
            "tool: a call says how to run it by hand.",
            "annotations": {**TALKS, "destructiveHint": False},
            "parameters": [],
        },
        {
            "name": "status",
            "title": "Status",
            "description": "Say whether the library, the credentials and the session are there and whether Telegram answers, "
            "and what to do next. Never fails.",
            "annotations": LOOKS,
            "parameters": [],
        },
    ],
}


class Describe(argparse.Action):
    """Prints the contract and exits, as `--help` prints the help."""

    def __call__(self, parser, *_):
        print(json.dumps(CONTRACT, indent=2))
        parser.exit()


def json_list(text):
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("not JSON: {}".format(error)) from None
    if not isinstance(value, list):
        raise argparse.ArgumentTypeError("not a JSON list")
    return value


def ranged(parameter):
    """Returns the reader of an integer within the parameter's limits."""
    low, high = parameter["minimum"], parameter.get("maximum")

    def integer(text):
        value = int(text)
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(
                "must be {} or more".format(low) if high is None else "must be {} to {}".format(low, high)
            )
        return value

    return integer


def build_parser():
    parser = argparse.ArgumentParser(prog="cli.py", description=CONTRACT["plugin"]["description"], allow_abbrev=False)
    parser.add_argument(
        "--describe", action=Describe, nargs=0, default=argparse.SUPPRESS, help="print the contract as JSON and exit"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in CONTRACT["commands"]:
        about = command["description"]
        subparser = commands.add_parser(command["name"], help=about, description=about, allow_abbrev=False)
        for parameter in command["parameters"]:
            kind = parameter["type"]
            how = {"help": parameter["description"]}
            if kind == "boolean":
                how["action"] = "store_true"
            else:
                how["default"] = parameter.get("default")
                how["required"] = parameter.get("required", False)
                how["type"] = {"string": str, "array": json_list}.get(kind) or ranged(parameter)
            subparser.add_argument("--" + parameter["name"], **how)
    return parser
