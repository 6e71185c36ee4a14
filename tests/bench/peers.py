"""Other servers, measured beside ours: at a URL, or FastMCP in an environment of its own."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

from bench import DEMO, ROOT, by_turns, free_port, median

FASTMCP = "4.1.2"

# What a plugin has to be for FastMCP: a function that starts the same program, and one that does its work by itself.
SERVER = """\
import subprocess
import sys

from fastmcp import FastMCP

python, plugin, port = sys.argv[1:]
server = FastMCP("peer")


@server.tool
def echo(message: str) -> str:
    "Give a message back: what the plugin does, by a program of its own."
    command = [python, plugin, "echo", f"--message={message}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@server.tool
def echo_here(message: str) -> str:
    "Give a message back: what the plugin does, in the server."
    return message


def offered(number):
    def command(path: str, count: int = 1, mode: str = "slow") -> str:
        return path
    command.__name__ = f"command_{number}"
    command.__doc__ = f"Does the thing with number {number}, to a file or a text."
    return command


for number in range(8):
    server.tool(offered(number))
server.run(transport="http", host="127.0.0.1", port=int(port), show_banner=False, log_level="ERROR")
"""


def installed():
    """The interpreter of an environment that has FastMCP; it is made once."""
    directory = os.path.join(ROOT, "target", "bench", "venv")
    python, stamp = os.path.join(directory, "bin", "python"), os.path.join(directory, "installed")
    if not (os.path.exists(stamp) and open(stamp).read() == FASTMCP):
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True, timeout=120)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"fastmcp=={FASTMCP}"]
        subprocess.run(install, check=True, timeout=500)
        with open(stamp, "w") as file:
            file.write(FASTMCP)
    return python


def fastmcp(bench):
    """Starts FastMCP; returns what `measure` takes, for its two ways to do the work."""
    python = installed()
    path, port = os.path.join(bench.temp, "peer.py"), free_port()
    with open(path, "w") as file:
        file.write(SERVER)
    with open(os.path.join(bench.temp, "peer.log"), "w") as log:
        command = [python, path, bench.python, os.path.join(DEMO, "cli.py"), str(port)]
        process = bench.enter_context(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
    bench.callback(process.terminate)
    url = f"http://127.0.0.1:{port}/mcp"
    until_answered(url)
    name = f"FastMCP {FASTMCP}"
    return [
        {"name": name, "url": url, "tool": "echo", "pid": process.pid},
        {"name": f"{name}, in the server", "url": url, "tool": "echo_here", "pid": process.pid, "calls_only": True},
    ]


def until_answered(url):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers at {url}")


def given(text):
    """`[NAME=]URL[#TOOL]`: the tool takes `message` and gives it back."""
    name, _, url = text.rpartition("=") if "=" in text.split("://")[0] else ("", "", text)
    url, _, tool = url.partition("#")
    return {"name": name or url, "url": url, "tool": tool or None, "pid": None}


def measure(bench, peers):
    """The same questions to each server in turn: latency, its CPU where it is ours to look at, and calls."""
    for index, peer in enumerate(peers):
        peer["line"] = f"peer{index}"
        peer["transport"] = "sse" if peer["url"].rstrip("/").endswith("/sse") else "session"
        bench.driver.open(peer["line"], peer["transport"], peer["url"])
    found = [{"name": peer["name"], "transport": peer["transport"]} for peer in peers]
    for method, count in ("ping", 100), ("tools/list", 50):
        chosen = [number for number, peer in enumerate(peers) if not peer.get("calls_only")]
        sides = [lambda peer=peers[number]: one_side(bench, peer, method, count) for number in chosen]
        for number, taken in zip(chosen, by_turns(bench.samples, *sides)):
            short = method.partition("/")[2] or method
            found[number][f"{short}_ms"] = median(sum([ms for _, ms in taken], []))
            if peers[number]["pid"]:
                found[number][f"{short}_us"] = median([cost for cost, _ in taken])
    callers = [number for number, peer in enumerate(peers) if peer["tool"]]

    def call(peer):
        params = {"name": peer["tool"], "arguments": {"message": "@@"}}
        return bench.driver.run(peer["line"], "tools/call", params, 4)["ms"]

    taken = by_turns(bench.samples, *[lambda peer=peers[number]: call(peer) for number in callers])
    for number, calls in zip(callers, taken):
        found[number]["call_ms"] = median(sum(calls, []))
    bench.close(*[peer["line"] for peer in peers])
    return found


def one_side(bench, peer, method, count):
    if peer["pid"]:
        return bench.cost(peer["line"], peer["pid"], method, None, count)
    return 0, bench.driver.run(peer["line"], method, None, count)["ms"]
