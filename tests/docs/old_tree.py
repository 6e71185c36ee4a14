"""A directory as the Python system had it: plugins in their own places, links to them, and files of Python's own."""

import os

# A contract of the first version: no `contract_version`, fields that nobody else knows, and a command that is no tool.
NOTES = '''
import argparse
import json
import os
import sys

import shelf

CONTRACT = {
    "plugin": {"name": "old-notes", "version": "0.9.0", "description": "Keeps notes", "maintainer": "somebody"},
    "built": "by hand",
    "commands": [
        {"name": "add", "description": "Add a note", "since": "0.2", "parameters": [
            {"name": "title", "type": "string", "description": "The heading", "required": True},
            {"name": "pinned", "type": "boolean", "description": "Keep it on top", "default": False},
            {"name": "stars", "type": "integer", "description": "How good", "default": None},
        ]},
        {"name": "fail", "description": "Fail as most plugins do", "parameters": []},
        {"name": "give-up", "description": "Fail with exit 0", "parameters": []},
        {"name": "chatty", "description": "Write log lines before the answer", "parameters": []},
        {"name": "connect", "description": "Connect", "parameters": []},
    ],
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--describe", action="store_true")
    commands = parser.add_subparsers(dest="command")
    add = commands.add_parser("add")
    add.add_argument("--title", required=True)
    add.add_argument("--pinned", action="store_true")
    add.add_argument("--stars", type=int)
    for name in ("fail", "give-up", "chatty", "connect"):
        commands.add_parser(name)
    given = parser.parse_args()
    if given.describe:
        print(json.dumps(CONTRACT))
    elif given.command == "add":
        print(json.dumps({
            "title": given.title, "pinned": given.pinned, "stars": given.stars, "shelf": shelf.NAME, "file": __file__,
        }))
    elif given.command == "fail":
        print(json.dumps({"error": "the shelf is full"}))
        sys.exit(1)
    elif given.command == "give-up":
        print(json.dumps({"status": "error", "error": "the shelf is locked"}))
    elif given.command == "chatty":
        print("2026-01-01 INFO opening the shelf")
        print("2026-01-01 INFO opened")
        print(json.dumps({"opened": True}))


main()
'''

# Nothing but `--help`.
DESK = '''
import argparse
import json
import os
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description="Works at a desk")
commands = parser.add_subparsers(dest="command", required=True)
write = commands.add_parser("write", help="Append a line to lines.txt")
write.add_argument("--line", required=True, help="The line")
commands.add_parser("where", help="Say where it runs")
variable = commands.add_parser("variable", help="Say what a variable holds")
variable.add_argument("--name", required=True, help="Its name")
wait = commands.add_parser("wait", help="Wait")
wait.add_argument("--seconds", type=float, required=True, help="How long")
start = commands.add_parser("start", help="Start a process and return")
start.add_argument("--seconds", type=int, default=60, help="How long it lives")
long = commands.add_parser("long", help="Print a lot")
long.add_argument("--letters", type=int, required=True, help="How much")
given = parser.parse_args()

if given.command == "write":
    with open("lines.txt", "a") as file:
        file.write(given.line + "\\n")
    print(json.dumps({"written": os.path.abspath("lines.txt")}))
elif given.command == "where":
    print(json.dumps({"directory": os.getcwd(), "python": sys.executable, "prefix": sys.prefix}))
elif given.command == "variable":
    print(json.dumps({"value": os.environ.get(given.name)}))
elif given.command == "wait":
    began = time.time()
    time.sleep(given.seconds)
    print(json.dumps({"began": began, "ended": time.time()}))
elif given.command == "start":
    child = subprocess.Popen(
        ["sleep", str(given.seconds)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    print(json.dumps({"pid": child.pid}))
elif given.command == "long":
    print("x" * given.letters)
'''

# A package that lay in the virtual environment of the Python system.
NEEDY = '''
import argparse
import json

import oldpackage

parser = argparse.ArgumentParser(description="Needs a package")
commands = parser.add_subparsers(dest="command", required=True)
commands.add_parser("use", help="Use it")
parser.parse_args()
print(json.dumps({"package": oldpackage.NAME}))
'''

BROKEN = "import a_module_that_nobody_has\n"


class OldTree:
    """`plugins` is what MCP_PLUGINS_DIR named: `smcp/plugins`, with links into `opt/`."""

    def __init__(self, place, needy=False):
        self.root = os.path.join(place.temp, "old")
        self.plugins = os.path.join(self.root, "smcp", "plugins")
        self.opt = os.path.join(self.root, "opt")
        os.makedirs(os.path.join(self.plugins, "__pycache__"))
        for name in ("README.md", "__init__.py"):
            self.write(os.path.join(self.plugins, name), "")
        # The link has another name than its directory and the contract: the link's is the one that clients know.
        self.notes = self.plugin("notes-2", NOTES, link="notes")
        self.write(os.path.join(self.notes, "shelf.py"), 'NAME = "oak"\n')
        self.desk = self.plugin("desk", DESK)
        self.plugin("broken", BROKEN, link="broken")
        if needy:
            self.needy = self.plugin("needy", NEEDY, link="needy")

    def plugin(self, name, text, link=None):
        directory = os.path.join(self.opt if link else self.plugins, name)
        os.makedirs(directory)
        self.write(os.path.join(directory, "cli.py"), text.lstrip("\n"))
        self.write(os.path.join(directory, "__init__.py"), "")
        if link:
            os.symlink(directory, os.path.join(self.plugins, link))
        return directory

    def write(self, path, text):
        with open(path, "w") as file:
            file.write(text)
        # Neither executable nor with a shebang, as four in five are.
        os.chmod(path, 0o644)
