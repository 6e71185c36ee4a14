"""Small things done to text: a plugin to call first and to copy from."""

import argparse
import json
import sys

# The same for every command here: nothing is changed, the answer depends on the arguments alone.
PURE = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}

# The one description of this plugin: `--describe` prints it and the parser is built from it.
CONTRACT = {
    "contract_version": "1.1",
    "plugin": {
        "name": "demo_text",
        "title": "Demo: text",
        "version": "1.0.0",
        "description": "Echo, count, slugify and hash text.",
    },
    "commands": [
        {
            "name": "echo",
            "title": "Echo",
            "description": "Give a message back, with a prefix directly before it if one is given.",
            "annotations": PURE,
            "parameters": [
                {"name": "message", "type": "string", "description": "The text to give back", "required": True},
                {
                    "name": "prefix",
                    "type": "string",
                    "description": "Text to put directly before the message",
                    "required": False,
                    "default": "",
                },
            ],
            "examples": [
                {"arguments": {"message": "hello"}, "result": {"message": "hello"}},
                {"arguments": {"message": "hello", "prefix": "> "}, "result": {"message": "> hello"}},
            ],
        },
        {
            "name": "word-count",
            "title": "Count words",
            "description": "Count the words, characters and lines of a text.",
            "annotations": PURE,
            "parameters": [
                {"name": "text", "type": "string", "description": "The text to count", "required": True},
            ],
            "examples": [
                {
                    "arguments": {"text": "one two\nthree"},
                    "result": {"words": 3, "characters": 13, "lines": 2},
                },
            ],
        },
        {
            "name": "slugify",
            "title": "Make a slug",
            "description": "Turn a title into a lower-case ASCII slug for a file name or an address.",
            "annotations": PURE,
            "parameters": [
                {"name": "title", "type": "string", "description": "The title to turn into a slug", "required": True},
            ],
            "examples": [
                {"arguments": {"title": "Crème Brûlée, twice!"}, "result": {"slug": "creme-brulee-twice"}},
            ],
        },
        {
            "name": "hash-preview",
            "title": "Preview a hash",
            "description": "Hash a text with SHA-256: the first 12 hex digits, and the text's length in UTF-8 bytes.",
            "annotations": PURE,
            "parameters": [
                {"name": "text", "type": "string", "description": "The text to hash", "required": True},
            ],
            "examples": [
                {
                    "arguments": {"text": "hello"},
                    "result": {"algorithm": "sha256", "preview": "2cf24dba5fb0", "length": 5},
                },
            ],
        },
    ],
}


def echo(message, prefix):
    return {"message": prefix + message}


def word_count(text):
    return {"words": len(text.split()), "characters": len(text), "lines": len(text.splitlines())}


def slugify(title):
    # Imported here, not above: the other commands start faster without them.
    import re
    import unicodedata

    # Casefolding first, because NFKD has no ASCII form for letters such as `ß`.
    plain = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode("ascii")
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not slug:
        raise ValueError("the title has no letter or digit with an ASCII form")
    return {"slug": slug}


def hash_preview(text):
    import hashlib

    data = text.encode("utf-8")
    return {"algorithm": "sha256", "preview": hashlib.sha256(data).hexdigest()[:12], "length": len(data)}


RUN = {"echo": echo, "word-count": word_count, "slugify": slugify, "hash-preview": hash_preview}


class Describe(argparse.Action):
    """Prints the contract and exits, as `--help` prints the help."""

    def __call__(self, parser, *_):
        print(json.dumps(CONTRACT, indent=2))
        parser.exit()


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
            subparser.add_argument(
                "--" + parameter["name"],
                required=parameter["required"],
                default=parameter.get("default"),
                help=parameter["description"],
            )
    return parser


def main():
    arguments = vars(build_parser().parse_args())
    # Before Python 3.13 argparse reads `--message=--` as an empty list.
    arguments = {name: "--" if value == [] else value for name, value in arguments.items()}
    run = RUN[arguments.pop("command")]
    try:
        print(json.dumps(run(**arguments)))
    except ValueError as error:
        print(json.dumps({"error": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
