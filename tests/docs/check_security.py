"""docs/security.md: what can be seen of its claims without root; tests/rig boots the packaged service."""

import glob
import json
import os
import re
import stat
import subprocess
import time

from claims import Claims
from daemon import Daemon, basic, expect, refused
from sessions import Session

CLAIMS = claim = Claims("docs/security.md")
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
NOT_PERMITTED = 5
# Prints what it is given, or so many letters, and waits.
PLUGIN = '''
import argparse
import time

parser = argparse.ArgumentParser(description="For the checks of a page")
commands = parser.add_subparsers(dest="command", required=True)
say = commands.add_parser("say", help="Say something")
say.add_argument("--text", required=True, help="What")
say.add_argument("--times", type=int, default=1, help="How often")
say.add_argument("--wait", type=float, default=0, help="How long it lives")
given = parser.parse_args()
time.sleep(given.wait)
print(given.text * given.times)
'''


def page_of(place):
    with open(os.path.join(place.root, "docs/security.md")) as file:
        return file.read()


def unit_of(place, name):
    with open(os.path.join(place.root, "packaging/systemd", name)) as file:
        return file.read()


def served(place, **options):
    plugins = os.path.join(place.temp, "plugins")
    os.makedirs(os.path.join(plugins, "probe"))
    with open(os.path.join(plugins, "probe", "cli.py"), "w") as file:
        file.write(PLUGIN)
    return Daemon(place, plugins=plugins, **options)


def status(daemon, headers=None, body=LIST, path="/messages/"):
    return daemon.request("POST", path, body, headers)[0]


def check_every_claim_of_the_page_has_one_check_and_the_reverse(place):
    CLAIMS.compare(place)


def check_the_unit_has_what_the_page_says_of_it(place):
    unit = unit_of(place, "smcpd.service")
    rows = re.findall(r"^\| (`.+?) \|", page_of(place), re.MULTILINE)
    told = [name for row in rows for name in re.findall(r"`(.+?)`", row)]
    expect(len(told) > 15, told)
    lines = unit.splitlines()
    for setting in told:
        # One that ends in `=` has values of its own; `CapabilityBoundingSet=` is empty.
        is_there = any(line == setting or (setting.endswith("=") and line.startswith(setting)) for line in lines)
        expect(is_there, f"{setting} is not in the unit")
    expect("\nCapabilityBoundingSet=\n" in unit and "\nReadOnlyPaths=-/var/lib/smcp/plugins\n" in unit, "the unit")
    for directory in "StateDirectory=smcp", "CacheDirectory=smcp", "RuntimeDirectory=smcp/daemon":
        expect(directory in lines, directory)


# --- Who may connect ------------------------------------------------------------------------------------------------


@claim("Loopback alone")
def check_without_configuration_it_is_loopback_and_no_key(place):
    with served(place) as daemon:
        expect(daemon.address.startswith("127.0.0.1:") and status(daemon) == 200, daemon.address)


@claim("Beyond loopback")
def check_no_start_beyond_loopback_but_by_a_key_or_by_name(place):
    expect(refused(place, arguments=["--host", "192.0.2.7"]).status == 2, "another status")
    for variables in {"MCP_API_KEY": "k"}, {"MCP_AUTH_DISABLED": "1"}:
        done = subprocess.run(
            [place.smcpd, "--host", "192.0.2.7", "--check"], env={**basic(place, place.temp), **variables},
            capture_output=True, text=True, timeout=30,
        )
        expect(done.returncode == 0, done)
    with served(place, environment={"MCP_AUTH_DISABLED": "1"}) as daemon:
        expect(" WARN " in daemon.said(), daemon.said())


@claim("A request passes the gate")
def check_the_order_of_the_gate_on_every_address(place):
    wrong = {"Host": "evil.example", "Origin": "https://evil.example"}
    with served(place, environment={"MCP_API_KEY": "k"}, config="[http]\nbody_limit = 1024\n") as daemon:
        doors = [("POST", "/messages/"), ("POST", "/mcp"), ("GET", "/sse"), ("GET", "/metrics"), ("GET", "/nothing")]
        for method, path in doors:
            def answer(headers, body=""):
                code, _, text = daemon.request(method, path, body, headers)
                return code, text

            code, text = answer(wrong, "x" * 2000)
            expect(code == 413, (path, code, text))
            code, text = answer(wrong)
            expect(code == 403 and "host_not_allowed" in text, (path, code, text))
            code, text = answer({"Origin": wrong["Origin"]})
            expect(code == 403 and "origin_not_allowed" in text, (path, code, text))
            expect(answer({})[0] == 401, (path, answer({})))


@claim("A page in a browser")
def check_a_page_is_refused_by_its_origin_and_by_its_host(place):
    with served(place) as daemon:
        expect(status(daemon, {"Origin": "https://evil.example"}) == 403, "it was answered")
        expect(status(daemon, {"Host": "rebound.evil.example"}) == 403, "it was answered")


@claim("`GET /health`")
def check_health_is_open_and_metrics_are_not(place):
    with served(place, environment={"MCP_API_KEY": "k"}) as daemon:
        code, _, text = daemon.request("GET", "/health")
        told = json.loads(text)
        expect(code == 200, text)
        expect(set(told) == {"status", "version", "uptime_seconds", "plugins", "tools", "sessions", "calls"}, told)
        expect("probe" not in text, text)
        expect(daemon.request("GET", "/metrics")[0] == 401, "no key was needed")
        expect(daemon.request("GET", "/metrics", headers={"X-API-Key": "k"})[0] == 200, "it was refused")


# --- What a key opens -----------------------------------------------------------------------------------------------


@claim("Every tool")
def check_every_key_lists_and_calls_every_tool(place):
    with served(place, environment={"MCP_API_KEYS": "k,l"}) as daemon:
        listed = [sorted(daemon.tools({"X-API-Key": key})) for key in ("k", "l")]
        expect(listed[0] == listed[1] and "probe__say" in listed[0], listed)
        for key in "k", "l":
            result = daemon.call("probe.say", {"text": key}, {"X-API-Key": key})
            expect(result["content"][0]["text"] == key, result)


@claim("Nothing of the daemon itself.")
def check_no_address_administers_the_daemon(place):
    key = {"X-API-Key": "k"}
    with served(place, environment={"MCP_API_KEY": "k"}) as daemon:
        for name in "status", "sessions", "calls", "config", "reload", "rescan", "plugins", "doctor", "logs", "audit":
            expect(daemon.request("GET", f"/{name}", headers=key)[0] == 404, name)
            expect(daemon.request("POST", f"/{name}", {}, key)[0] == 404, name)
            expect(daemon.ask(name, headers=key)["error"]["code"] == -32601, name)


@claim("A session, and the output that a call left behind")
def check_what_one_key_made_another_does_not_find(place):
    variables, config = {"MCP_API_KEYS": "k,l"}, "[execution]\noutput_limit = 1024\n"
    with served(place, environment=variables, config=config) as daemon:
        session = Session(daemon, {"X-API-Key": "k"})
        session.ask("ping")
        body = {**LIST, "id": 9}
        headers = {**session.headers, "X-API-Key": "l"}
        expect(status(daemon, headers, body, "/mcp") == 404, "it was found")
        result = daemon.call("probe.say", {"text": "x", "times": 5000}, {"X-API-Key": "k"})
        uri = next(block["uri"] for block in result["content"] if block["type"] == "resource_link")
        read = {key: daemon.ask("resources/read", {"uri": uri}, {"X-API-Key": key}) for key in ("k", "l")}
        expect("xxx" in json.dumps(read["k"].get("result")), read["k"])
        expect("error" in read["l"] and "xxx" not in json.dumps(read["l"]), read["l"])


@claim("A key that is taken out")
def check_a_key_that_left_its_file_is_refused_after_a_reload(place):
    keys = os.path.join(place.temp, "keys")

    def write(*lines):
        with open(keys, "w") as file:
            file.write("".join(f"{line}\n" for line in lines))

    write("k", "l")
    with served(place, config=f'[auth]\nkey_files = ["{keys}"]\n') as daemon:
        session = Session(daemon, {"X-API-Key": "k"})
        expect(status(daemon, {"X-API-Key": "k"}) == 200, "it was refused")
        write("l")
        done = daemon.ctl("reload")
        expect(done.returncode == 0, done)
        expect(status(daemon, {"X-API-Key": "k"}) == 401, "it is still good")
        expect(status(daemon, session.headers, LIST, "/mcp") == 401, "its session is still good")
        expect(status(daemon, {"X-API-Key": "l"}) == 200, "the other was refused")


@claim("Keys are not printed")
def check_no_secret_is_printed_or_logged(place):
    config = '[log]\nlevel = "debug"\n[plugin.probe]\nenv = { TOKEN = "granted-secret" }\n'
    with served(place, config=config, environment={"MCP_API_KEY": "key-secret"}) as daemon:
        daemon.call("probe.say", {"text": "a"}, {"X-API-Key": "key-secret"})
        status(daemon, {"X-API-Key": "wrong-secret"})
        shown = daemon.ctl("config", "show").stdout
        checked = subprocess.run(
            [*daemon.arguments, "--check"], env=daemon.environment, capture_output=True, text=True, timeout=30,
        ).stdout
        expect("plugin.probe" in shown and checked.startswith("ok"), (shown, checked))
        logged = daemon.ctl("logs").stdout
        expect("probe.say" in logged, logged)
        for text in shown, checked, daemon.said(), logged, daemon.ctl("doctor").stdout:
            expect("-secret" not in text, text)


# --- The sockets ----------------------------------------------------------------------------------------------------


@claim("`call.sock`")
def check_the_call_socket_offers_tools_alone(place):
    with served(place) as daemon:
        socket = os.path.join(daemon.runtime, "smcp", "call.sock")
        for words in ("tools", "list"), ("call", "probe.say", "text=a"), ("health",):
            done = daemon.ctl("--socket", socket, *words)
            expect(done.returncode == 0, done)
        for words in "status", "sessions", "calls", "reload", "rescan", "plugin list", "config show", "logs", "audit":
            done = daemon.ctl("--socket", socket, *words.split())
            expect(done.returncode == NOT_PERMITTED, done)
    rights = "\nSocketUser=root\nSocketGroup=smcp-call\nSocketMode=0660\n"
    expect(rights in unit_of(place, "smcpd-call.socket"), "the unit")


@claim("`control.sock`")
def check_the_control_socket_is_its_owners_and_plugins_are_not_in_its_group(place):
    with served(place) as daemon:
        for name in "control.sock", "call.sock":
            mode = os.stat(os.path.join(daemon.runtime, "smcp", name)).st_mode
            expect(stat.S_IMODE(mode) == 0o600, oct(mode))
        expect(daemon.ctl("status").returncode == 0, daemon.ctl("status"))
    rights = "\nSocketUser=root\nSocketGroup=smcp-admin\nSocketMode=0660\n"
    expect(rights in unit_of(place, "smcpd.socket"), "the unit")
    with open(os.path.join(place.root, "packaging/sysusers.d/smcp.conf")) as file:
        users = file.read()
    # `m USER GROUP` would make it a member.
    expect(re.search(r"^u +smcp ", users, re.MULTILINE) and not re.search(r"^m ", users, re.MULTILINE), users)
    expect("SupplementaryGroups" not in unit_of(place, "smcpd.service"), "the unit")


# --- What is written down, and what is not held ---------------------------------------------------------------------


@claim("A call is recorded")
def check_the_record_of_a_call_has_no_value_and_no_result(place):
    with served(place, config='[log]\nlevel = "debug"\n') as daemon:
        daemon.call("probe.say", {"text": "sesame", "times": 2})
        recorded = daemon.ctl("logs", "--json").stdout
        records = [json.loads(line)["fields"] for line in recorded.splitlines()]
        calls = [fields for fields in records if fields.get("event") == "call-finished"]
        expect(len(calls) == 1, recorded)
        expect((calls[0]["caller"], calls[0]["tool"]) == ("anonymous", "probe.say"), calls)
        expect(re.fullmatch(r"text=8 times=1 sha256:\w+", calls[0]["arguments"]), calls)
        for text in recorded, daemon.said():
            expect("sesame" not in text, text)


@claim("Arguments stand on a command line")
def check_arguments_can_be_read_by_everyone_while_a_call_runs(place):
    with served(place) as daemon:
        command = [place.smcpctl, "call", "probe.say", "text=sesame-on-the-line", "wait=20"]
        with subprocess.Popen(command, env=daemon.environment, stdout=subprocess.DEVNULL) as caller:
            try:
                found = None
                deadline = time.monotonic() + 15
                while found is None and time.monotonic() < deadline:
                    found = next(filter(is_probe, glob.glob("/proc/[0-9]*/cmdline")), None)
                    time.sleep(0.05)
                expect(found and os.stat(found).st_mode & stat.S_IROTH, found)
            finally:
                caller.kill()


def is_probe(path):
    try:
        with open(path, "rb") as file:
            return b"--text=sesame-on-the-line" in file.read()
    except OSError:
        return False
