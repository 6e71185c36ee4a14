"""plugins/README.md and the READMEs of the shipped plugins: commands, parameters and flags, and what the demos answer."""

import glob
import json
import os
import re
import shlex
import subprocess

from daemon import Daemon, expect
from shown import described, shown

SHIPPED = ["botfather", "demo_math", "demo_text", "devops", "promptyoself"]
def read(place, *path):
    with open(os.path.join(place.root, *path), encoding="utf-8") as file:
        return file.read()


def served(daemon):
    """Returns the parameters of each tool of the shipped plugins, by plugin and command."""
    found = {plugin: {} for plugin in SHIPPED}
    for name, tool in daemon.tools().items():
        plugin, _, command = name.partition("__")
        if plugin in found:
            found[plugin][command] = {key.replace("_", "-") for key in tool["inputSchema"].get("properties", {})}
    return found


def check_commands_and_parameters_that_are_named_exist(place):
    with Daemon(place, plugins=os.path.join(place.root, "plugins")) as daemon:
        described(daemon)
        there = served(daemon)
    programs = glob.glob(f"{place.root}/plugins/*/cli.py")
    expect(sorted(os.path.basename(os.path.dirname(path)) for path in programs) == SHIPPED, programs)
    overview = read(place, "plugins/README.md")
    table = dict(re.findall(r"^\| \[(\w+)\]\(\w+/README\.md\) \| (.*?) \|", overview, re.MULTILINE))
    expect(sorted(table) == SHIPPED, table)
    for plugin, commands in there.items():
        named = set(re.findall(r"`([\w-]+)`", table[plugin]))
        expect(named <= set(commands) and (table[plugin].endswith("and more") or named == set(commands)), table[plugin])
        page = read(place, "plugins", plugin, "README.md")
        missing = [name for name in commands if f"`{name}`" not in page and f"smcpctl call {plugin}.{name}" not in page]
        expect(not missing, f"{plugin}/README.md says nothing of {missing}")
        header, rows = re.search(r"^\| command \| parameters \|.*\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE), []
        if header:
            rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in header[1].splitlines()]
            expect({row[0].strip("`") for row in rows} == set(commands), rows)
        for row in rows:
            parameters = set(re.findall(r"`([\w-]+)`", re.sub(r"\([^)]*\)", "", row[1])))
            expect(parameters == commands[row[0].strip("`")], (plugin, row, commands[row[0].strip("`")]))
        for tool, rest in re.findall(rf"smcpctl call {plugin}\.([\w-]+)(.*)", page):
            words = re.findall(r"(?:^|\s)'?([\w-]+):?=", rest.partition("`")[0])
            expect(tool in commands and set(words) <= commands[tool], (plugin, tool, words))


def printed(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout


def check_flags_that_are_named_exist(place):
    """`--flag` in the README of a plugin is one of its program, or of a command of it."""
    for plugin in SHIPPED:
        program = [place.python, os.path.join(place.root, "plugins", plugin, "cli.py")]
        commands = [command["name"] for command in json.loads(printed(*program, "--describe"))["commands"]]
        known = "".join(printed(*program, *words, "--help") for words in [[], *([command] for command in commands)])
        flags = set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]+)|cli\.py.* (--[a-z-]+)", read(place, "plugins", plugin, "README.md")))
        wrong = [flag for pair in flags for flag in pair if flag and flag not in known]
        expect(not wrong, f"{plugin} has no {wrong}")


def by_hand(place, words, directory):
    """Runs a line that begins with `python3`."""
    words = [place.python, "-B", *words[1:]]
    return subprocess.run(words, cwd=directory, capture_output=True, text=True, timeout=120)


def check_the_demos_answer_as_shown(place):
    for plugin in ("demo_math", "demo_text"):
        directory = os.path.join(place.root, "plugins", plugin)
        count = 0
        with Daemon(place, name=plugin) as daemon:
            for line, answer in shown(read(place, "plugins", plugin, "README.md")):
                words = shlex.split(line)
                if words[0] == "smcpctl":
                    done = daemon.ctl(*(directory if word == plugin else word for word in words[1:]))
                else:
                    expect(words[:2] == ["python3", "cli.py"], line)
                    done = by_hand(place, words, directory)
                expect(not answer or done.stdout.strip() == answer, (line, done.stdout, done.stderr))
                expect(answer.startswith('{"error"') == (done.returncode != 0), (line, done.returncode))
                count += 1
        expect(count == 3, count)


def check_the_lines_of_the_overview_run(place):
    page = read(place, "plugins/README.md")
    lines = re.findall(r"^    (.+)$", page, re.MULTILINE) + re.findall(r"^`(smcpctl [^`]*)`", page, re.MULTILINE)
    expect(len(lines) == 6, lines)
    directory = os.path.join(place.root, "plugins")
    with Daemon(place) as daemon:
        for line in lines:
            if line.startswith("cd "):
                directory = os.path.join(directory, line[3:])
                continue
            words = shlex.split(line.replace("path/to", directory))
            if words[0] == "smcpctl":
                done = daemon.ctl(*words[1:])
            else:
                expect(words[0] == "python3", line)
                done = by_hand(place, words, directory)
            expect(done.returncode == 0, (line, done.stdout, done.stderr))


def check_botfather_says_what_is_missing_as_shown(place):
    """Its calls need Telegram; what it says without it does not."""
    page = read(place, "plugins/botfather/README.md")
    state = dict(shown(page))
    expect(len(state) == 5, list(state))
    status = re.search(r"^    (\{\"ready\": .*\n(?:    .*\n)*)", page, re.MULTILINE)[1]
    status = json.loads(" ".join(status.split()))
    with Daemon(place, {"botfather": "plugins/botfather"}) as daemon:
        answer = daemon.call("botfather__status")["structuredContent"]
        expect(list(answer) == list(status), answer)
        for key in ("library", "credentials", "session"):
            expect(set(answer[key]) <= set(status[key]) | {"problem", "reason"}, (answer[key], status[key]))
        expect(answer["ready"] is False and answer["next"], answer)
        login = daemon.call("botfather__login")
        expect(login["isError"] and "cli.py login" in login["content"][0]["text"], login)
