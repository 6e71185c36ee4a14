"""README.md: its figures, badges and examples are those of the sources and the daemon."""

import json
import os
import re
import shlex
import subprocess

from daemon import Daemon, expect
from shown import described


def read(place, *path):
    with open(os.path.join(place.root, *path), encoding="utf-8") as file:
        return file.read()


def said(place, badge):
    """Returns the value of a badge, by the words that README.md has for it."""
    found = re.search(rf"\[!\[([^:\]]+): ([^\]]+)\]\(docs/picture/{badge}\.svg\)\]", read(place, "README.md"))
    expect(found, f"there is no badge {badge}")
    return found[2]


def check_the_licence_is_that_of_the_sources(place):
    licence = re.search(r'^license = "(.*)"$', read(place, "Cargo.toml"), re.MULTILINE)[1]
    expect(said(place, "licence").replace(" or ", " OR ") == licence == "MIT OR Apache-2.0", licence)
    mit, apache = read(place, "LICENSE-MIT"), read(place, "LICENSE-APACHE")
    expect("Permission is hereby granted, free of charge" in mit, mit[:200])
    expect("Apache License" in apache and "Version 2.0, January 2004" in apache, apache[:200])


def check_the_version_of_rust_is_that_of_the_sources(place):
    version = re.search(r'^rust-version = "(.*)"$', read(place, "Cargo.toml"), re.MULTILINE)[1]
    expect(said(place, "rust") == f"{version} or later", said(place, "rust"))
    expect(f"Rust {version} or later" in read(place, "README.md"), version)


def check_the_revisions_are_those_that_the_daemon_serves(place):
    source = sorted(re.findall(r'Self::V\w+ => "([0-9-]+)"', read(place, "smcpd/src/protocol/revision.rs")))
    expect(said(place, "revisions") == f"{len(source)} revisions, {source[0]} to {source[-1]}", source)
    page = read(place, "README.md")
    doors = page[page.index("## Doors") : page.index("`POST /messages/` without")]
    expect(sorted(set(re.findall(r"\d{4}-\d\d-\d\d", doors))) == source, doors)
    with Daemon(place) as daemon:
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "1999-01-01"}
        body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        status, _, text = daemon.request("POST", "/mcp", body, headers)
        served = sorted(json.loads(text)["error"]["data"]["supported"])
        expect(status == 400 and served == source, text)


def check_the_figures_of_the_official_suite_are_those_of_the_protocol_page(place):
    figures = re.search(r"It ends with\s+`(\d+ passed, \d+ failed)`", read(place, "docs/protocol.md"))
    expect(figures and said(place, "conformance") == figures[1], figures)
    expect(figures[1].endswith(" 0 failed"), figures)


def check_the_first_calls_do_what_they_show(place):
    page = read(place, "README.md")
    line, answer = re.search(r"^    \$ (curl .*)\n    (.*)$", page, re.MULTILINE).groups()
    words = shlex.split(line)
    expect(words[:3] == ["curl", "-s", "localhost:8000/messages/"] and words[3::2] == ["-H", "-d"], words)
    header, _, value = words[4].partition(": ")
    # The plugins are served as the page has it, from the repository.
    expect("smcpd -- --plugins-dir plugins" in page, "the first command is another")
    with Daemon(place, plugins=os.path.join(place.root, "plugins")) as daemon:
        described(daemon)
        status, _, text = daemon.request("POST", "/messages/", words[6], {header: value})
        expect(status == 200 and text == answer, text)
        count = int(re.search(r"It prints the names of (\d+) tools", page)[1])
        expect(len(daemon.tools()) == count, len(daemon.tools()))
        arguments = json.loads(re.search(r'call_tool\("demo_math__calculate", (\{.*\})\)', page)[1])
        shown = re.search(r"tools, and `(\{.*\})`", page)[1]
        expect(str(daemon.call("demo_math__calculate", arguments)["structuredContent"]) == shown, shown)


def check_the_python_client_is_the_one_that_is_tested(place):
    version = re.search(r"`pip install mcp`, (\d+\.\d+)\)", read(place, "README.md"))[1]
    expect(re.search(rf"\b{re.escape(version)}\.\d+\b", read(place, "tests/interop/run")), version)


def check_the_clients_are_those_that_smcpctl_knows(place):
    done = subprocess.run([place.smcpctl, "connect", "--help"], capture_output=True, text=True, timeout=60, check=True)
    known = set(re.search(r"possible values: ([^\]]*)\]", done.stdout, re.DOTALL)[1].replace("\n", " ").split(","))
    known = {" ".join(name.split()) for name in known}
    listed = re.search(r"configuration of (Letta, .*?) \(\[docs/clients", read(place, "README.md"), re.DOTALL)[1]
    named = {name.strip().lower().replace(" ", "-") for name in re.split(r",| and ", listed)}
    expect({name.replace("vscode", "vs-code") for name in known} == named, (known, named))
    expect(len(known) == 6, known)


def check_each_feature_leads_to_its_page(place):
    page = read(place, "README.md")
    table = page[page.index("## What it has") : page.index("It runs on Linux only")]
    rows = [row.strip("|").split("|") for row in table.splitlines() if row.startswith("|")][2:]
    expect(len(rows) > 8, rows)
    for row in rows:
        expect(len(row) == 2 and re.search(r"\]\((docs|plugins)/[^)]+\.md", row[1]), row)
    expect(len(page.splitlines()) <= 170, len(page.splitlines()))
