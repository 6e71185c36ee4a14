"""Plugins that are made for a measurement, besides the shipped `demo_text`."""

import os
import shutil

# What it takes to import: so much CPU, as large libraries take it.
HEAVY_LIBRARY = """\
import time

began = time.process_time()
while time.process_time() - began < {seconds}:
    sum(range(1000))
"""

HEAVY = """\
import argparse
import json
import sys

import heavy_library

CONTRACT = {"plugin": {"name": "heavy", "version": "1"}, "commands": [{"name": "echo", "description": "Echo.",
    "annotations": {"readOnlyHint": True},
    "parameters": [{"name": "message", "type": "string", "required": True}]}]}

parser = argparse.ArgumentParser()
parser.add_argument("--describe", action="store_true")
commands = parser.add_subparsers(dest="command")
commands.add_parser("echo").add_argument("--message", required=True)
given = parser.parse_args()
print(json.dumps(CONTRACT if given.describe else {"message": given.message}))
"""

FLOOD = """\
import json
import sys
import time

if "--describe" in sys.argv:
    print(json.dumps({"plugin": {"name": "flood", "version": "1"}, "commands": [
        {"name": "pour", "description": "Writes for two seconds, as fast as it can.", "parameters": []}]}))
else:
    end = time.monotonic() + 2
    while time.monotonic() < end:
        sys.stdout.write("all work and no play\\n" * 3000)
"""

MANY = """\
import json
import sys

COMMANDS = [{{"name": f"command-{{number}}", "description": f"Does the thing with number {{number}}, to a file or a text.",
    "annotations": {{"readOnlyHint": True}},
    "parameters": [
        {{"name": "path", "type": "string", "description": "The file to do it to", "required": True}},
        {{"name": "count", "type": "integer", "description": "How often", "required": False, "default": 1}},
        {{"name": "mode", "type": "string", "description": "The way", "enum": ["slow", "fast"], "required": False}}]}}
    for number in range({count})]
print(json.dumps({{"plugin": {{"name": "many", "version": "1"}}, "commands": COMMANDS}}))
"""


def write(directory, name, **files):
    """Writes a plugin of these files and returns where it is."""
    path = os.path.join(directory, name)
    os.makedirs(path)
    for file, text in files.items():
        with open(os.path.join(path, f"{file}.py"), "w") as out:
            out.write(text)
    return path


def heavy(directory, seconds):
    return write(directory, "heavy", cli=HEAVY, heavy_library=HEAVY_LIBRARY.format(seconds=seconds))


def flood(directory):
    return write(directory, "flood", cli=FLOOD)


def many(directory, tools):
    """With the daemon's own tool, `tools` are listed."""
    return write(directory, f"many{tools}", cli=MANY.format(count=tools - 1))


def copies(source, directory, count):
    """A plugins directory with so many plugins in it."""
    for number in range(count):
        path = os.path.join(directory, f"plugin{number:03}")
        os.makedirs(path)
        shutil.copy(os.path.join(source, "cli.py"), path)
    return directory
