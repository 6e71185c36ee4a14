"""Schedules prompts for Letta agents: this file is the command line, `commands` does the work."""

import argparse
import json
import sys

from contract import CONTRACT


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
        # What excludes each other is refused by the parser too.
        places = {
            name: group
            for said in command.get("exclusive_groups", [])
            for group in [subparser.add_mutually_exclusive_group(required=said["required"])]
            for name in said["parameters"]
        }
        for parameter in command["parameters"]:
            how = {"required": parameter["required"]} if parameter["required"] else {}
            if parameter["type"] == "boolean":
                how["action"] = "store_true"
            else:
                how["default"] = parameter.get("default")
                how["metavar"] = parameter["name"].upper().replace("-", "_")
            if parameter["type"] == "integer":
                how["type"] = int
            place = places.get(parameter["name"], subparser)
            place.add_argument("--" + parameter["name"], help=parameter["description"], **how)
    return parser


def limits(command, arguments):
    """Returns what is wrong with a number, or nothing: the contract's limits hold on the command line too."""
    for parameter in next(known for known in CONTRACT["commands"] if known["name"] == command)["parameters"]:
        value = arguments[parameter["name"].replace("-", "_")]
        if parameter["type"] != "integer" or value is None:
            continue
        low, high = parameter["minimum"], parameter.get("maximum", 2**31)
        if not low <= value <= high:
            return f"--{parameter['name']} is {value}: give a number from {low} to {high}"
    return None


def main():
    arguments = vars(build_parser().parse_args())
    # Before Python 3.13 argparse reads `--prompt=--` as an empty list.
    arguments = {name: "--" if value == [] else value for name, value in arguments.items()}
    command = arguments.pop("command")
    # Imported here: `--describe` and `--help` need none of it.
    import commands

    wrong = limits(command, arguments)
    answer = {"error": wrong} if wrong else commands.run(command, arguments)
    print(json.dumps(answer))
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
