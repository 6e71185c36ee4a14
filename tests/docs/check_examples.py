"""docs/plugins.md: its examples are plugins, and its transcripts are what happens."""

import json
import os
import re
import shlex
import subprocess

from daemon import Daemon, expect
from transcript import BLOCK, Stage, commands, files, lay, named, play, same

PLUGINS = ["words", "pages", "shout", "sum"]

# What is called, with what, and what comes of it: the structured result, the text of an error, or the end of it.
CALLS = [
    ("words.count", {"text": "one two"}, {"words": 2}),
    ("words.count", {"text": "a bb ccc", "longer_than": 1}, {"words": 2}),
    ("words.count", {"text": "--help"}, {"words": 1}),
    ("words.count", {"text": ""}, {"words": 0}),
    ("words.count", {}, "`text` is missing"),
    ("words.count", {"text": "one", "longer_than": "few"}, "`longer_than`"),
    ("words.count", {"text": "one", "wrong": 1}, "`wrong`"),
    ("shout.say", {"text": "--help, `please`; $HOME"}, "--HELP, `PLEASE`; $HOME"),
    ("shout.say", {"text": 5, "loud": True}, "`loud`"),
    ("shout.say", {}, "`text` is missing"),
    ("sum.add", {"number": [1, 2, -5]}, {"sum": -2}),
    ("sum.add", {"number": [9223372036854775807, 1]}, "the sum is too large for 64 bits"),
    ("sum.add", {"number": ["one"]}, "`number"),
    ("sum.add", {}, "`number` is missing"),
    ("pages.print", {"count": 3}, {"printed": 3}),
    ("pages.print", {"count": 2}, {"printed": 5}),
    ("pages.print", {"count": 0}, "`count` must be at least 1"),
    ("pages.print", {"count": "many"}, "`count`"),
]


def read(place):
    path = os.path.join(place.root, "docs/plugins.md")
    with open(path, encoding="utf-8") as file:
        return path, file.read()


def work(place):
    directory = os.path.join(place.temp, "work")
    os.mkdir(directory)
    return directory


def check_the_transcripts_are_what_happens(place):
    path, page = read(place)
    directory = work(place)
    with Daemon(place) as daemon:
        stage = Stage(place, daemon, directory)

        def before(block):
            if name := named(page, block):
                lay(directory, name, block[2])
            elif block[1] == "toml":
                with open(daemon.config, "w", encoding="utf-8") as file:
                    file.write(block[2])

        same(path, page, play(page, stage, before))


def check_each_example_is_a_sound_plugin(place):
    """Laid out anew, without what the transcripts did to them."""
    _, page = read(place)
    directory = work(place)
    lay_out(page, directory)
    with Daemon(place, config=setting(page)) as daemon:
        for plugin in PLUGINS:
            done = daemon.ctl("plugin", "check", "--strict", "--json", os.path.join(directory, plugin))
            expect(done.returncode == 0, done.stdout + done.stderr)
            said = json.loads(done.stdout)["check"]
            expect(said["commands"], said)
            linked = daemon.ctl("plugin", "link", os.path.join(directory, plugin))
            expect(linked.returncode == 0, linked.stderr)
        called_by_hand(daemon)
    # A state directory of its own, so that the pages are counted anew.
    links = {plugin: os.path.join(directory, plugin) for plugin in PLUGINS}
    with Daemon(place, links, config=setting(page), name="anew") as daemon:
        called_over_mcp(daemon)
        expect("sesame" not in daemon.said(), "the secret is in the log")


def lay_out(page, directory):
    found = files(page)
    expect({name.split("/")[0] for name in found} == set(PLUGINS), sorted(found))
    for name, code in found.items():
        lay(directory, name, code)
    shout = os.path.join(directory, "shout/cli")
    os.chmod(shout, 0o755)
    # As the page says it.
    line = re.search(r"^\$ (rustc -o sum/cli sum/main\.rs) ", page, re.MULTILINE)
    subprocess.run(shlex.split(line[1]), cwd=directory, check=True, timeout=200, umask=0o022)


def setting(page):
    found = [block[2] for block in BLOCK.finditer(page) if block[1] == "toml"]
    expect(len(found) == 1, found)
    return found[0]


def called_by_hand(daemon):
    for tool, arguments, wanted in CALLS:
        words = [f"{key}:={json.dumps(value)}" for key, value in arguments.items()]
        done = daemon.ctl("call", tool, *words, "--quiet")
        seen = (tool, arguments, done.returncode, done.stdout, done.stderr)
        if isinstance(wanted, dict):
            expect(done.returncode == 0 and json.loads(done.stdout) == wanted, seen)
        elif done.returncode == 2:
            expect(wanted.startswith("`") and wanted in done.stderr, seen)
        elif done.returncode == 10:
            expect(wanted in done.stdout + done.stderr, seen)
        else:
            expect(done.returncode == 0 and done.stdout.rstrip("\n") == wanted, seen)


def called_over_mcp(daemon):
    session = Session(daemon)
    listed = {tool["name"]: tool for tool in session.ask("tools/list", {})[-1]["result"]["tools"]}
    expect(listed["words__count"]["annotations"]["readOnlyHint"] is True, listed["words__count"])
    expect(listed["words__count"]["inputSchema"]["properties"]["longer_than"]["minimum"] == 0, listed["words__count"])
    for tool, arguments, wanted in CALLS:
        result = session.call(tool.replace(".", "__"), arguments)[-1]["result"]
        seen = (tool, arguments, result)
        if isinstance(wanted, dict):
            expect(result["isError"] is False and result["structuredContent"] == wanted, seen)
        else:
            plain = tool == "shout.say" and wanted.startswith("--HELP")
            expect(result["isError"] is not plain and wanted in result["content"][0]["text"], seen)
    told = session.call("pages__print", {"count": 3}, {"progressToken": "t"})
    progress = [message["params"] for message in told if message.get("method") == "notifications/progress"]
    wanted = [{"progressToken": "t", "progress": n, "total": 3, "message": f"page {n}"} for n in (1, 2, 3)]
    expect([item for item in progress if item["progress"] > 0] == wanted, told)


class Session:
    """A client of 2025-11-25 on `/mcp`."""

    def __init__(self, daemon):
        self.daemon, self.headers, self.id = daemon, {"Accept": "application/json, text/event-stream"}, 0
        self.ask("initialize", {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "docs", "version": "1"},
        })
        expect("Mcp-Session-Id" in self.answered, self.answered)
        self.headers |= {"Mcp-Session-Id": self.answered["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        expect(daemon.request("POST", "/mcp", ready, self.headers)[0] == 202, "the notification was not taken")

    def ask(self, method, params):
        """Returns all messages of the answer, the response as the last one."""
        self.id += 1
        body = {"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}
        status, self.answered, text = self.daemon.request("POST", "/mcp", body, self.headers)
        expect(status == 200, f"{status}: {text}")
        if self.answered["Content-Type"].startswith("text/event-stream"):
            events = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
            messages = [json.loads(data) for data in events if data]
        else:
            messages = [json.loads(text)]
        expect(messages[-1].get("id") == self.id and "result" in messages[-1], messages)
        return messages

    def call(self, tool, arguments, meta=None):
        params = {"name": tool, "arguments": arguments, **({"_meta": meta} if meta else {})}
        return self.ask("tools/call", params)


def check_a_new_plugin_in_each_language_works(place):
    """The page's own `plugin new` lines, and then what each of them says comes next."""
    _, page = read(place)
    directory = work(place)
    lines = [command[0] for block in BLOCK.finditer(page) if block[1] == "console" for command, _ in commands(block[2])]
    new = [line for line in lines if line.startswith("smcpctl plugin new ")]
    expect([line.partition("--lang ")[2] for line in new] == ["", "bash", "rust"], new)
    tests = {"": "python3 -m unittest --quiet", "bash": "./test.sh", "rust": "cargo test --quiet"}
    with Daemon(place) as daemon:
        stage = Stage(place, daemon, directory)
        for line in new:
            name, language = line.split()[3], line.partition("--lang ")[2]
            said = stage.run(line)
            following = [step.removeprefix("next: ") for step in said if step.startswith("next: ")]
            for step in ("plugin check", "plugin link"):
                expect(any(step in line for line in following), said)
            for step in [*following, f"cd {name} && {tests[language]}"]:
                seen = stage.run(step.replace("plugin check", "plugin check --strict"))
                expect(not seen or not re.fullmatch(r"\[\d+\]", seen[-1]), "\n".join([step, *seen]))
            seen = stage.run(f"smcpctl call {name}.greet name=Ada times=2")
            expect(seen == ['{"greeting": "Hello, Ada! Hello, Ada!"}'], seen)
            result = Session(daemon).call(f"{name}__greet", {"name": "Ada"})[-1]["result"]
            expect(result["structuredContent"] == {"greeting": "Hello, Ada!"}, result)


def check_the_examples_of_the_contract_page_are_sound(place):
    """docs/plugin-contract.md: its two greeters greet."""
    with open(os.path.join(place.root, "docs/plugin-contract.md"), encoding="utf-8") as file:
        found = files(file.read())
    expect(set(found) == {"greeter/cli.py", "greeter/cli"}, sorted(found))
    for language, (name, code) in enumerate(sorted(found.items())):
        directory = os.path.join(place.temp, str(language))
        lay(directory, name, code)
        os.chmod(os.path.join(directory, name), 0o755 if name == "greeter/cli" else 0o644)
        with Daemon(place, {"greeter": os.path.join(directory, "greeter")}, name=f"daemon-{language}") as daemon:
            done = daemon.ctl("plugin", "check", "--strict", os.path.join(directory, "greeter"))
            expect(done.returncode == 0, done.stdout + done.stderr)
            done = daemon.ctl("call", "greeter.hello", "name=Ada")
            expect(done.returncode == 0 and "Hello, Ada!" in done.stdout, (name, done.stdout, done.stderr))
            expect(daemon.ctl("call", "greeter.hello").returncode == 2, name)
