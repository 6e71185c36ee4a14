"""Arithmetic, byte sizes and a coin: a plugin to call first and to copy from."""

import argparse
import json
import sys

# The one description of this plugin: `--describe` prints it and the parser is built from it.
CONTRACT = {
    "contract_version": "1.1",
    "plugin": {
        "name": "demo_math",
        "title": "Demo: arithmetic",
        "version": "1.0.0",
        "description": "Arithmetic, byte sizes and a coin.",
    },
    "commands": [
        {
            "name": "calculate",
            "title": "Calculate",
            "description": "Add, subtract, multiply or divide two numbers. Integers give an integer if it is exact.",
            "annotations": {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False},
            "parameters": [
                {
                    "name": "operation",
                    "type": "string",
                    "description": "What to do with the two numbers",
                    "required": True,
                    "enum": ["add", "subtract", "multiply", "divide"],
                },
                {"name": "a", "type": "number", "description": "The first number", "required": True},
                {"name": "b", "type": "number", "description": "The second number", "required": True},
            ],
            "examples": [
                {
                    "arguments": {"operation": "add", "a": 2, "b": 3},
                    "result": {"operation": "add", "a": 2, "b": 3, "result": 5},
                },
                {
                    "arguments": {"operation": "divide", "a": 1, "b": 4},
                    "result": {"operation": "divide", "a": 1, "b": 4, "result": 0.25},
                },
            ],
        },
        {
            "name": "format-bytes",
            "title": "Format a byte size",
            "description": "Write a number of bytes in binary units with one decimal, from B to YiB.",
            "annotations": {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False},
            "parameters": [
                {"name": "value", "type": "integer", "description": "The number of bytes", "required": True},
            ],
            "examples": [
                {"arguments": {"value": 1536}, "result": {"value": 1536, "formatted": "1.5 KiB"}},
            ],
        },
        {
            "name": "coin-flip",
            "title": "Flip a coin",
            "description": "Flip a fair coin: heads or tails.",
            "annotations": {"readOnlyHint": True, "idempotentHint": False, "openWorldHint": False},
            "parameters": [],
            "examples": [{"arguments": {}, "result": {"result": "heads"}}],
        },
    ],
}


def calculate(operation, a, b):
    if operation == "divide" and b == 0:
        raise ValueError("cannot divide by zero")
    if operation == "add":
        result = a + b
    elif operation == "subtract":
        result = a - b
    elif operation == "multiply":
        result = a * b
    elif isinstance(a, int) and isinstance(b, int) and a % b == 0:
        result = a // b
    else:
        result = a / b
    if not is_writable(result):
        raise ValueError("the result is too large")
    return {"operation": operation, "a": a, "b": b, "result": result}


def format_bytes(value):
    # Whole tenths, because a float rounds large sizes wrongly and shows 1048575 as `1024.0 KiB`.
    size, sign = abs(value), "-" if value < 0 else ""
    if size < 1024:
        return {"value": value, "formatted": f"{value} B"}
    divisor = 1
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"):
        divisor *= 1024
        tenths = (size * 10 + divisor // 2) // divisor
        if tenths < 10240:
            break
    return {"value": value, "formatted": f"{sign}{tenths // 10}.{tenths % 10} {unit}"}


def coin_flip():
    from os import urandom

    return {"result": ("heads", "tails")[urandom(1)[0] % 2]}


RUN = {"calculate": calculate, "format-bytes": format_bytes, "coin-flip": coin_flip}


def number(text):
    """Returns the number in `text`: an int where it is written as one, else a float."""
    try:
        value = int(text)
    except ValueError:
        value = float(text)
    if not is_writable(value):
        raise argparse.ArgumentTypeError(f"{text[:20]} is not a finite number of ordinary size")
    return value


def is_writable(value):
    """Tells whether JSON can carry `value`, and Python print it: no inf or nan, below about 4,200 digits."""
    from math import isfinite

    return value.bit_length() <= 14000 if isinstance(value, int) else isfinite(value)


TYPES = {"string": str, "integer": int, "number": number}


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
                type=TYPES[parameter["type"]],
                choices=parameter.get("enum"),
                required=parameter.get("required", False),
                default=parameter.get("default"),
                help=parameter["description"],
            )
    return parser


def main():
    parser = build_parser()
    arguments = vars(parser.parse_args())
    # Before Python 3.13 argparse reads `--a=--` as an empty list and checks neither type nor choice.
    if [] in arguments.values():
        parser.error("-- is not a value")
    run = RUN[arguments.pop("command")]
    try:
        print(json.dumps(run(**arguments)))
    except (ValueError, ArithmeticError) as error:
        print(json.dumps({"error": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
