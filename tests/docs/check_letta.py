"""docs/letta.md: its commands, its claims, and that a Letta which does what is printed gets to the tools."""

import http.client
import http.server
import json
import os
import re
import stat
import subprocess
import threading
import time

from claims import Claims
from daemon import Daemon, expect, refused
from sessions import Session, Stream
from transcripts import Shell, compare, unprompted

CLAIMS = claim = Claims("docs/letta.md")
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
PLUGIN = '''
import argparse
import json
import os
import time

parser = argparse.ArgumentParser(description="For the checks of a page")
commands = parser.add_subparsers(dest="command", required=True)
commands.add_parser("agent", help="Say whose call it is")
wait = commands.add_parser("wait", help="Wait, and say where the process is known")
wait.add_argument("--seconds", type=float, required=True, help="How long")
wait.add_argument("--mark", help="A file that gets the process's number")
given = parser.parse_args()
if given.command == "wait":
    if given.mark:
        with open(given.mark + ".part", "w") as file:
            file.write(str(os.getpid()))
        os.rename(given.mark + ".part", given.mark)
    time.sleep(given.seconds)
print(json.dumps({"agent": os.environ.get("SMCP_AGENT_ID"), "caller": os.environ.get("SMCP_CALLER")}))
'''


def page_of(place):
    with open(os.path.join(place.root, "docs/letta.md")) as file:
        return file.read()


def served(place, **options):
    return Daemon(place, plugins=plugin(place, "probe", PLUGIN), **options)


def plugin(place, name, text, contract=None):
    """Makes a plugins directory with one plugin in it."""
    plugins = os.path.join(place.temp, f"plugins-{name}")
    os.makedirs(os.path.join(plugins, name))
    with open(os.path.join(plugins, name, "cli.py"), "w") as file:
        file.write(text)
    if contract is not None:
        with open(os.path.join(plugins, name, "contract.json"), "w") as file:
            json.dump(contract, file)
    return plugins


def key_file(place):
    path = os.path.join(place.temp, "keys")
    with open(path, "w") as file:
        file.write("k3y/of+the=page\n")
    return path


def until(holds, otherwise):
    deadline = time.monotonic() + 30
    while not holds():
        expect(time.monotonic() < deadline, otherwise)
        time.sleep(0.05)


def check_every_claim_of_the_page_has_one_check_and_the_reverse(place):
    CLAIMS.compare(place)


# --- What smcpctl prints --------------------------------------------------------------------------------------------


def check_smcpctl_prints_what_the_page_says(place):
    page = page_of(place)
    with served(place) as daemon:
        found, wrong = compare(Shell(daemon, {"/etc/smcp/keys": key_file(place)}), page)
    expect(not wrong, "\n\n".join(wrong))
    expect(found >= 9, f"{found} commands")
    expect(not unprompted(page, "smcpctl"), unprompted(page, "smcpctl"))


def check_every_address_of_the_page_is_one_that_the_daemon_has(place):
    hosts = r"(?:HOST|smcpd|host\.docker\.internal|127\.0\.0\.1)"
    told = set(re.findall(rf"http://{hosts}:8000(/\w+)", page_of(place)))
    expect(told == {"/mcp", "/sse"}, told)
    with served(place) as daemon:
        expect("probe__agent" in Session(daemon, path="/mcp").tools(), "no such tool")
        with Stream(daemon, path="/sse") as stream:
            expect("probe__agent" in stream.tools(), "no such tool")


class Letta(http.server.BaseHTTPRequestHandler):
    """Takes servers as Letta's API does, and remembers what it was told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class FakeLetta:
    def __enter__(self):
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Letta)
        self.server.asked = self.asked = []
        self.url = "http://127.0.0.1:{}".format(self.server.server_port)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def check_the_printed_call_registers_a_server_that_then_connects(place):
    key = key_file(place)
    with open(key) as file:
        secret = file.read().strip()
    config = f'[auth]\nkey_files = ["{key}"]\n'
    with FakeLetta() as letta, served(place, config=config) as daemon:
        shell = Shell(daemon)
        variables = {"LETTA_SERVER_URL": letta.url, "LETTA_SERVER_PASSWORD": "word", "SMCP_API_KEY": secret}
        for transport, kind in ("http", "streamable_http"), ("sse", "sse"):
            printed = daemon.ctl("connect", "letta", "--transport", transport, "--key-file", key).stdout
            done = shell.run(printed[printed.index("curl "):], environment=variables)
            expect(done.returncode == 0 and len(letta.asked) == 1, (done, letta.asked))
            path, authorization, body = letta.asked.pop()
            expect((path, authorization) == ("/v1/mcp-servers/", "Bearer word"), (path, authorization))
            told = body["config"]
            expect(told["mcp_server_type"] == kind, body)
            # As Letta then does.
            headers = {told["auth_header"]: told["auth_token"]}
            address = told["server_url"].removeprefix(daemon.url)
            if transport == "http":
                expect("probe__agent" in Session(daemon, headers, path=address).tools(), "no such tool")
            else:
                with Stream(daemon, path=address, headers=headers) as stream:
                    expect("probe__agent" in stream.tools(), "no such tool")


def check_the_stdio_command_that_is_printed_serves(place):
    with served(place) as daemon:
        told = json.loads(daemon.ctl("connect", "letta", "--transport", "stdio", "--json").stdout)["connect"]
        server = told["document"]["mcpServers"]["smcp"]
        expect("probe__agent" in over_stdio(daemon, [server["command"], *server["args"]], LIST), "no such tool")
    # And the daemon of its own, for a container.
    own = [place.smcpd, "--stdio", "--plugins-dir", daemon.plugins]
    expect("probe__agent" in over_stdio(daemon, own, LIST), "no such tool")


def over_stdio(daemon, command, request):
    """What a client that starts its server is told, as text."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "letta", "version": "1"}}
    lines = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        request,
    ]
    done = subprocess.run(
        command, env=daemon.environment, input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True,
        text=True, timeout=60,
    )
    return next((line for line in done.stdout.splitlines() if json.loads(line).get("id") == request["id"]), done.stderr)


# --- Tool names -----------------------------------------------------------------------------------------------------


@claim("A name over 45 letters")
def check_long_names_are_warned_of_by_both(place):
    # `names__` and these.
    commands = [{"name": "x" * length, "description": "Something"} for length in (38, 39)]
    plugins = plugin(place, "names", "print(1)\n", {"commands": commands})
    with Daemon(place, plugins=plugins) as daemon:
        for said in daemon.ctl("doctor").stdout, daemon.ctl("plugin", "check", os.path.join(plugins, "names")).stdout:
            lines = [line for line in said.splitlines() if "name-long" in line]
            expect(len(lines) == 1 and "46 letters" in lines[0], said)
    commands[1]["tool_name"] = "short"
    plugins = plugin(place, "namer", "print(1)\n", {"commands": commands})
    with Daemon(place, plugins=plugins, name="renamed") as daemon:
        expect("name-long" not in daemon.ctl("doctor").stdout and "short" in daemon.tools(), daemon.ctl("doctor"))


@claim("All tools stand on one page")
def check_a_thousand_tools_are_one_page(place):
    # And `health`.
    contract = {"commands": [{"name": f"c{number}", "description": "Something"} for number in range(999)]}
    with Daemon(place, plugins=plugin(place, "many", "print(1)\n", contract)) as daemon:
        for result in daemon.ask("tools/list")["result"], Session(daemon).ask("tools/list")["result"]:
            expect(len(result["tools"]) == 1000 and "nextCursor" not in result, len(result["tools"]))


@claim("A list that changes")
def check_a_session_is_told_of_a_plugin_that_was_linked(place):
    with served(place) as daemon, Stream(daemon) as stream:
        expect("demo_math__calculate" not in stream.tools(), "it is there already")
        os.symlink(os.path.join(place.root, "plugins/demo_math"), os.path.join(daemon.plugins, "demo_math"))
        # The plugin's README is a resource, and that list changes too.
        until(lambda: stream.message()["method"] == "notifications/tools/list_changed", "it was not told")
        expect("demo_math__calculate" in stream.tools(), "it is not there")


# --- Keys -----------------------------------------------------------------------------------------------------------


@claim("The key in a header")
def check_both_headers_are_taken(place):
    with served(place, environment={"MCP_API_KEY": "k"}) as daemon:
        for headers in {"Authorization": "Bearer k"}, {"X-API-Key": "k"}:
            expect("probe__agent" in daemon.tools(headers), headers)
        expect(daemon.request("POST", "/messages/", LIST)[0] == 401, "no key was needed")


@claim("A key given twice")
def check_a_repeated_key_is_one(place):
    with served(place, environment={"MCP_API_KEYS": "k,l"}) as daemon:
        with Stream(daemon, headers={"Authorization": "Bearer k, Bearer k"}) as stream:
            expect("probe__agent" in stream.tools(), "no such tool")
        status, _, _ = daemon.request("GET", "/sse", headers={"Authorization": "Bearer k, Bearer l"})
        expect(status == 401, status)


@claim("What is printed has no key")
def check_the_printed_call_names_the_variable_and_sends_nothing_without_it(place):
    key = key_file(place)
    with FakeLetta() as letta, served(place) as daemon:
        printed = daemon.ctl("connect", "letta", "--key-file", key).stdout
        with open(key) as file:
            expect(file.read().strip() not in printed and "SMCP_API_KEY" in printed, printed)
        done = Shell(daemon).run(printed, environment={"LETTA_SERVER_URL": letta.url, "LETTA_SERVER_PASSWORD": "word"})
        expect(done.returncode != 0 and not letta.asked, (done, letta.asked))


@claim("A file that is written")
def check_the_written_file_has_the_key_for_its_owner_alone(place):
    key = key_file(place)
    with served(place) as daemon:
        done = daemon.ctl("connect", "letta", "--transport", "sse", "--write", "--key-file", key)
        expect(done.returncode == 0, done)
        path = os.path.join(daemon.directory, ".letta/mcp_config.json")
        expect(stat.S_IMODE(os.stat(path).st_mode) == 0o600, oct(os.stat(path).st_mode))
        with open(path) as file, open(key) as secret:
            written = json.load(file)["mcpServers"]["smcp"]
            expect(written["auth_token"] == f"Bearer {secret.read().strip()}", written)
        expect(written["url"] == f"{daemon.url}/sse", written)


# --- Agent ids ------------------------------------------------------------------------------------------------------


@claim("`X-Agent-Id`")
def check_the_agents_id_reaches_the_plugin_by_every_address(place):
    headers = {"X-Agent-Id": "agent-7"}
    with served(place) as daemon:
        expect(daemon.call("probe.agent", headers=headers)["structuredContent"]["agent"] == "agent-7", "another")
        result = Session(daemon, headers).call("probe__agent")
        expect("agent-7" in result["content"][0]["text"], result)
        with Stream(daemon, headers=headers) as stream:
            result = stream.call("probe__agent")
            expect("agent-7" in result["content"][0]["text"], result)


@claim("The id is a claim.")
def check_one_key_may_send_any_id(place):
    with served(place, environment={"MCP_API_KEY": "k"}) as daemon:
        for agent in "agent-7", "agent-8":
            said = daemon.call("probe.agent", headers={"X-API-Key": "k", "X-Agent-Id": agent})["structuredContent"]
            expect(said["agent"] == agent and said["caller"] == "key-1", said)


@claim("Over stdio")
def check_over_stdio_there_is_no_id(place):
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "probe__agent", "arguments": {}}}
    with served(place) as daemon:
        for command in [place.smcpctl, "stdio"], [place.smcpd, "--stdio", "--plugins-dir", daemon.plugins]:
            answer = json.loads(over_stdio(daemon, command, call))
            expect(answer["result"]["structuredContent"]["agent"] is None, answer)


# --- Timeouts -------------------------------------------------------------------------------------------------------


@claim("A call may take 300 seconds")
def check_the_default_limit(place):
    with served(place) as daemon:
        shown = daemon.ctl("config", "show").stdout
        expect(re.search(r"execution\.timeout\s+=?\s*300", shown), shown)


@claim("A client that goes away")
def check_a_client_that_closes_its_connection_ends_its_call(place):
    def running(daemon, begin):
        mark = os.path.join(place.temp, "mark")
        ended = begin({"seconds": 120, "mark": mark})
        until(lambda: os.path.exists(mark), f"it did not start: {daemon.said()[-500:]}")
        with open(mark) as file:
            pid = int(file.read())
        os.unlink(mark)
        expect(os.path.exists(f"/proc/{pid}"), "it has ended already")
        ended()
        until(lambda: not os.path.exists(f"/proc/{pid}"), f"process {pid} is still there")

    with served(place) as daemon:
        def direct(arguments):
            body = {**LIST, "method": "tools/call", "params": {"name": "probe.wait", "arguments": arguments}}
            return posted(daemon, "/messages/", body, {})

        def streamable(arguments):
            session = Session(daemon)
            body = {**LIST, "id": 9, "method": "tools/call", "params": {"name": "probe__wait", "arguments": arguments}}
            return posted(daemon, "/mcp", body, session.headers)

        def sse(arguments):
            stream = Stream(daemon).__enter__()
            stream.ask("ping")
            stream.post({"id": 9, "method": "tools/call", "params": {"name": "probe__wait", "arguments": arguments}})
            return stream.abandon

        for begin in direct, streamable, sse:
            running(daemon, begin)


def posted(daemon, path, body, headers):
    """Sends a request, and returns what hangs up on it."""
    connection = http.client.HTTPConnection(daemon.address, timeout=30)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
    return connection.close


@claim("A message over SSE")
def check_a_message_is_accepted_at_once(place):
    with served(place) as daemon, Stream(daemon) as stream:
        stream.ask("ping")
        began = time.monotonic()
        stream.post({"id": 9, "method": "tools/call", "params": {"name": "probe__wait", "arguments": {"seconds": 3}}})
        accepted = time.monotonic() - began
        expect(stream.message()["id"] == 9, "another message")
        answered = time.monotonic() - began
        expect(accepted < 2 and answered >= 3, (accepted, answered))


@claim("A silent stream")
def check_a_silent_stream_gets_comments(place):
    with served(place) as daemon:
        expect(re.search(r"http\.keep_alive\s+=?\s*15", daemon.ctl("config", "show").stdout), "another default")
    with Daemon(place, plugins=daemon.plugins, config="[http]\nkeep_alive = 0.2\n", name="quick") as daemon:
        with Stream(daemon) as stream:
            expect(any(line.startswith(":") for line in stream.lines()), "no comment")


# --- Docker ---------------------------------------------------------------------------------------------------------


@claim("The service's name")
def check_the_service_is_answered_by_its_name_only_with_the_file(place):
    with open(os.path.join(place.root, "packaging/compose/smcpd.toml")) as file:
        config = file.read()
    for given, expected in (config, 200), ("", 403):
        variables = {"MCP_API_KEY": "k", "PYTHONDONTWRITEBYTECODE": "1"}
        links = {"demo_math": "plugins/demo_math"}
        with Daemon(place, links, config=given, environment=variables, name=f"compose-{expected}") as daemon:
            headers = {"Host": "smcpd:8000", "X-API-Key": "k"}
            status, _, text = daemon.request("POST", "/messages/", LIST, headers)
            expect(status == expected, (status, text))
            expect((status == 403) or "demo_math__calculate" in text, text)


@claim("In a container a key is a must")
def check_what_the_image_runs_refuses_to_start_without_a_key(place):
    with open(os.path.join(place.root, "Containerfile")) as file:
        entry = json.loads(re.search(r"^ENTRYPOINT (.+)$", file.read(), re.MULTILINE)[1])
    expect(entry == ["smcpd", "--allow-external"], entry)
    ended = refused(place, arguments=entry[1:])
    expect(ended.status == 2 and "MCP_API_KEY" in ended.said, ended)


@claim("The bridge's address")
def check_the_bridges_address_needs_a_key(place):
    config = re.search(r"^ {4}(\[http\])\n {4}(host = .+)$", page_of(place), re.MULTILINE).expand(r"\1\n\2\n")
    expect('host = "172.17.0.1"' in config, config)
    ended = refused(place, config=config)
    expect(ended.status == 2 and "172.17.0.1" in ended.said and "MCP_API_KEY" in ended.said, ended)
    file = os.path.join(place.temp, "bridge.toml")
    with open(file, "w") as written:
        written.write(config)
    done = subprocess.run(
        [place.smcpd, "--config", file, "--check"], env={"HOME": place.temp, "MCP_API_KEY": "k"}, capture_output=True,
        text=True, timeout=30,
    )
    expect(done.returncode == 0 and 'http.host = "172.17.0.1"' in done.stdout, done)


@claim("`host.docker.internal`")
def check_dockers_name_is_answered_and_podmans_once_it_is_named(place):
    def status(daemon, host):
        return daemon.request("POST", "/messages/", LIST, {"Host": f"{host}:8000"})[0]

    with served(place) as daemon:
        expect(status(daemon, "host.docker.internal") == 200, "it was refused")
        expect(status(daemon, "host.containers.internal") == 403, "it was answered")
    config = '[http]\nhosts = ["host.containers.internal"]\n'
    with Daemon(place, plugins=daemon.plugins, config=config, name="podman") as daemon:
        expect(status(daemon, "host.containers.internal") == 200, "it was refused")


@claim("An address in place of a name")
def check_the_address_that_was_connected_to_is_answered_and_no_other(place):
    # Every address of this host would do; loopback has a whole network of them.
    with served(place, arguments=["--host", "127.0.0.2"]) as daemon:
        for host, expected in ("127.0.0.2:8000", 200), ("172.17.0.1:8000", 403):
            expect(daemon.request("POST", "/messages/", LIST, {"Host": host})[0] == expected, host)
