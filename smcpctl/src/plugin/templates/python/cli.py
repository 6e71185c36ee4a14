#!/usr/bin/env python3
"""NAME: one line about what it is for."""

import argparse
import json
import sys


def greet(name, times):
    """Returns what the command prints."""
    if times < 1:
        raise ValueError("--times must be at least 1")
    return {"greeting": " ".join([f"Hello, {name}!"] * times)}


def build_parser():
    # What stands in `description` and `help` is what an agent reads: it chooses by these words.
    parser = argparse.ArgumentParser(description="Greets people. Replace this with what NAME is for.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("greet", help="Greet someone by name")
    command.add_argument("--name", required=True, help="Whom to greet")
    command.add_argument("--times", type=int, default=1, help="How often to say it")
    command.set_defaults(run=lambda arguments: greet(arguments.name, arguments.times))
    return parser


def main():
    arguments = build_parser().parse_args()
    try:
        result = arguments.run(arguments)
    except Exception as error:
        # The caller reads this text, so say what went wrong and what to do.
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
