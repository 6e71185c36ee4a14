"""Deploys applications on this host: one process a call, JSON out, progress as lines on stderr."""

import argparse
import json
import sys

from contract import CONTRACT


class Report:
    """What a call says while it works."""

    def __init__(self):
        self.done = 0
        self.total = 0

    def step(self, name, text):
        self.done += 1
        self.say(f"{name}: {text}")

    def note(self, text):
        self.say(text)

    def say(self, message):
        line = {"progress": self.done, **({"total": self.total} if self.total else {}), "message": message}
        try:
            print(json.dumps(line), file=sys.stderr, flush=True)
        except OSError:
            # Nobody listens any more; that is no reason to leave a deploy half done.
            pass


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
        # argparse reads `%` in a help text as the start of a placeholder.
        about = command["description"].replace("%", "%%")
        subparser = commands.add_parser(command["name"], help=about, description=about, allow_abbrev=False)
        for parameter in command["parameters"]:
            words = {"help": parameter["description"].replace("%", "%%"), "default": parameter.get("default")}
            if parameter["type"] == "boolean":
                words["action"] = "store_true"
            else:
                words.update(type=int if parameter["type"] == "integer" else str, required=parameter["required"])
            subparser.add_argument("--" + parameter["name"], **words)
    return parser


def carry_out(command, arguments):
    # Imported here, not above: `--help` and `--describe` need nothing of it.
    import operation
    import report
    from config import Config

    config = Config.load()
    if command in ("deploy", "rollback"):
        arguments["app"] = arguments.pop("app_name")
        return getattr(operation, command)(config, Report(), **arguments)
    return getattr(report, command)(config, Report(), **arguments)


def main():
    arguments = vars(build_parser().parse_args())
    # Before Python 3.13 argparse reads `--version=--` as an empty list.
    arguments = {name: "--" if value == [] else value for name, value in arguments.items()}

    from trouble import Stopped, Trouble

    try:
        answer, code = carry_out(arguments.pop("command"), arguments), 0
    except Trouble as error:
        answer, code = {"error": str(error), **error.details}, 1
    except Stopped as error:
        answer, code = {"error": f"{error}; the next deploy or rollback ends what was begun"}, 1
    except OSError as error:
        named = f"`{error.filename}`: " if error.filename else ""
        answer, code = {"error": f"{named}{error.strerror or error}; see to it and try again"}, 1
    print(json.dumps(answer))
    return code


if __name__ == "__main__":
    sys.exit(main())
