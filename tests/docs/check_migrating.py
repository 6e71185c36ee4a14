"""docs/migrating.md: each claim, against a directory laid out the way of the Python system."""

import glob
import json
import os
import re
import signal
import subprocess
import threading
import time

from claims import Claims
from daemon import Daemon, basic, expect, refused
from old_tree import OldTree
from sessions import Session, Stream

CLAIMS = claim = Claims("docs/migrating.md")
UNKNOWN_TOOL = -32602


def served(place, **options):
    """A daemon that was told of the old directory as the old server was: by its variable."""
    needy = options.pop("needy", False)
    tree = OldTree(place, needy=needy)
    environment = {"MCP_PLUGINS_DIR": tree.plugins, **options.pop("environment", {})}
    daemon = Daemon(place, plugins_flag=False, environment=environment, **options)
    daemon.tree = tree
    return daemon


def structured(result):
    expect(result["isError"] is False, result)
    return result["structuredContent"]


def failure(result):
    expect(result["isError"] is True, result)
    return result["structuredContent"]["error"]


def effective(place, environment, *flags, config=""):
    """What `smcpd --check` prints: the values by their keys, each with where it came from."""
    file = os.path.join(place.temp, "checked.toml")
    with open(file, "w") as written:
        written.write(config)
    done = subprocess.run(
        [place.smcpd, "--config", file, *flags, "--check"], env={**basic(place, place.temp), **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
    )
    expect(done.returncode == 0, done)
    return dict(line.split(" = ", 1) for line in done.stdout.splitlines() if " = " in line)


def check_every_claim_of_the_page_has_one_check_and_the_reverse(place):
    CLAIMS.compare(place)


# --- Plugins --------------------------------------------------------------------------------------------------------


@claim("The plugins directory")
def check_an_old_plugins_directory_is_served_as_it_is(place):
    with served(place) as daemon:
        listed = json.loads(daemon.ctl("plugin", "list", "--json").stdout)
        names = sorted(plugin["name"] for plugin in listed["plugins"])
        expect(names == ["broken", "desk", "notes"], listed)
        expect({"notes__add", "desk__write"} <= set(daemon.tools()), sorted(daemon.tools()))


@claim("A link's name")
def check_a_links_name_is_the_plugins_and_its_siblings_are_found(place):
    with served(place) as daemon:
        said = structured(daemon.call("notes.add", {"title": "a"}))
        expect(said["file"] == os.path.join(daemon.tree.notes, "cli.py"), said)
        expect(said["shelf"] == "oak", said)
        expect(not [name for name in daemon.tools() if "notes-2" in name or "old-notes" in name], daemon.tools())


@claim("A `cli.py` without rights or a shebang")
def check_a_program_that_is_not_executable_runs(place):
    with served(place) as daemon:
        for directory in daemon.tree.notes, daemon.tree.desk:
            program = os.path.join(directory, "cli.py")
            expect(not os.access(program, os.X_OK) or os.stat(program).st_mode & 0o111 == 0, program)
            with open(program) as file:
                expect(not file.read(2).startswith("#!"), program)
        ran = os.path.realpath(structured(daemon.call("desk.where"))["python"])
        expect(ran == place.python, ran)


@claim("A contract without a version")
def check_a_contract_of_the_first_version_is_read(place):
    with served(place) as daemon:
        tool = daemon.tools()["notes__add"]
        expect(tool["description"].startswith("Add a note"), tool)
        properties = tool["inputSchema"]["properties"]
        expect(properties["title"]["description"] == "The heading", tool)
        expect(tool["inputSchema"]["required"] == ["title"], tool)
        said = structured(daemon.call("notes.add", {"title": "a", "pinned": True, "stars": 3}))
        expect((said["title"], said["pinned"], said["stars"]) == ("a", True, 3), said)


@claim("A plugin with `--help` alone")
def check_a_plugin_without_a_contract_is_served_with_its_parsers_types(place):
    with served(place) as daemon:
        schema = daemon.tools()["desk__wait"]["inputSchema"]
        expect(schema["properties"]["seconds"]["type"] == "number", schema)
        expect(schema["required"] == ["seconds"], schema)
        expect(daemon.tools()["desk__start"]["inputSchema"]["properties"]["seconds"]["type"] == "integer", schema)


@claim("A plugin that does not start")
def check_a_broken_plugin_is_named_with_its_reason_and_harms_no_other(place):
    with served(place) as daemon:
        shown = daemon.ctl("plugin", "list").stdout
        line = next(line for line in shown.splitlines() if line.startswith("broken"))
        expect("failed" in line and "a_module_that_nobody_has" in line, shown)
        expect("notes__add" in daemon.tools(), daemon.tools())


@claim("A failure")
def check_an_error_on_stdout_and_exit_1_is_the_calls_error(place):
    with served(place) as daemon:
        result = daemon.call("notes.fail")
        error = failure(result)
        expect(error["code"] == "plugin_error" and "the shelf is full" in error["message"], result)
        expect("the shelf is full" in result["content"][0]["text"], result)


@claim('`"status": "error"` with exit 0')
def check_a_status_of_error_with_exit_0_is_a_success(place):
    with served(place) as daemon:
        said = structured(daemon.call("notes.give-up"))
        expect(said == {"status": "error", "error": "the shelf is locked"}, said)


@claim("Log lines before the JSON")
def check_log_lines_on_stdout_leave_the_structure(place):
    with served(place) as daemon:
        expect(structured(daemon.call("notes.chatty")) == {"opened": True}, daemon.call("notes.chatty"))


@claim("A process left behind")
def check_a_background_process_outlives_its_call(place):
    with served(place) as daemon:
        pid = structured(daemon.call("desk.start", {"seconds": 60}))["pid"]
        try:
            time.sleep(0.5)
            with open(f"/proc/{pid}/stat") as file:
                expect(file.read().rpartition(")")[2].split()[0] != "Z", "it has ended")
        finally:
            os.kill(pid, signal.SIGKILL)


@claim("The daemon's environment")
def check_plugins_inherit_the_environment(place):
    with served(place, environment={"WEATHER_TOKEN": "sunny"}) as daemon:
        expect(structured(daemon.call("desk.variable", {"name": "WEATHER_TOKEN"})) == {"value": "sunny"}, "another")


# --- Clients --------------------------------------------------------------------------------------------------------


@claim("Both spellings of a name")
def check_a_tool_is_called_by_both_names(place):
    with served(place) as daemon:
        for name in "notes.add", "notes__add":
            expect(structured(daemon.call(name, {"title": name}))["title"] == name, name)
        names = daemon.tools()
        expect("notes__add" in names and "notes.add" not in names, sorted(names))


@claim("Dotted lists")
def check_the_separator_brings_the_dotted_names_back(place):
    with served(place, config='[tools]\nseparator = "."\n') as daemon:
        expect("notes.add" in daemon.tools(), sorted(daemon.tools()))
        expect(structured(daemon.call("notes__add", {"title": "a"}))["title"] == "a", "another")


@claim("The addresses")
def check_each_old_address_answers_and_the_default_port_is_the_same(place):
    told = effective(place, {})
    expect(told["http.host"].startswith('"127.0.0.1"') and told["http.port"].startswith("8000 "), told)
    with served(place, environment={"MCP_API_KEY": "k"}) as daemon:
        key = {"X-API-Key": "k"}
        status, _, text = daemon.request("GET", "/health")
        expect(status == 200 and json.loads(text)["status"] == "ok", text)
        expect("notes__add" in daemon.tools(key), "no such tool")
        with Stream(daemon, headers=key) as stream:
            expect(stream.path.startswith("/messages/?session_id="), stream.path)
            expect("notes__add" in stream.tools(), "no such tool")
        session = Session(daemon, headers=key)
        expect("notes__add" in session.tools(), "no such tool")


@claim("The list at the start of a stream")
def check_the_manifest_is_sent_where_it_is_asked_for(place):
    with served(place) as daemon:
        with Stream(daemon, path="/sse?manifest=true") as stream:
            message = stream.message()
            expect(message["method"] == "notifications/tools/list", message)
            expect("notes__add" in [tool["name"] for tool in message["params"]["tools"]], message)
        with Stream(daemon) as stream:
            stream.ask("ping")
            expect(not stream.notices, stream.notices)
    with Daemon(place, plugins=daemon.tree.plugins, config="[sse]\nmanifest = true\n", name="manifest") as daemon:
        with Stream(daemon) as stream:
            expect(stream.message()["method"] == "notifications/tools/list", "another")


@claim("The header of the key")
def check_both_headers_carry_the_key_and_the_refusal_says_how(place):
    with served(place, environment={"MCP_API_KEY": "one", "MCP_API_KEYS": "two,three"}) as daemon:
        for headers in {"Authorization": "Bearer one"}, {"X-API-Key": "two"}, {"Authorization": "Bearer three"}:
            expect("notes__add" in daemon.tools(headers), headers)
        for headers in {}, {"X-API-Key": "four"}:
            status, answered, text = daemon.request("GET", "/sse", headers=headers)
            expect(status == 401 and answered["WWW-Authenticate"].startswith("Bearer"), (status, text))


@claim("stdio")
def check_both_ways_over_stdio_list_the_tools(place):
    with served(place) as daemon:
        own = [place.smcpd, "--config", daemon.config, "--stdio"]
        for command in own, [place.smcpctl, "stdio"]:
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
            lines = [
                {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
                {"jsonrpc": "2.0", "method": "notifications/initialized"},
                {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
            ]
            done = subprocess.run(
                command, env=daemon.environment, input="".join(json.dumps(line) + "\n" for line in lines),
                capture_output=True, text=True, timeout=60,
            )
            answers = {answer.get("id"): answer for answer in map(json.loads, done.stdout.splitlines())}
            names = [tool["name"] for tool in answers[2]["result"]["tools"]]
            expect("notes__add" in names, (command, done))


# --- Settings -------------------------------------------------------------------------------------------------------


@claim("The variables")
def check_every_variable_of_the_page_is_read(place):
    page = page_of(place)
    line = re.search(r"- \*\*The variables\*\*(.+?)(?=\n- )", page, re.DOTALL)[1]
    named = re.findall(r"`(MCP_\w+)`", line)
    tree = OldTree(place)
    cases = {
        "MCP_HOST": ("127.0.0.2", "http.host", '"127.0.0.2"'),
        "MCP_PORT": ("8123", "http.port", "8123"),
        "MCP_PLUGINS_DIR": (tree.plugins, "plugins.dir", f'"{tree.plugins}"'),
        "MCP_PLUGIN_TIMEOUT": ("12", "execution.timeout", "12.0"),
        "MCP_AUTH_DISABLED": ("1", "auth.disabled", "true"),
        "MCP_AUTH_ALLOW_LOOPBACK": ("1", "auth.allow_loopback", "true"),
    }
    told = effective(place, {name: value for name, (value, _, _) in cases.items()})
    for name, (_, key, value) in cases.items():
        expect(told[key] == f"{value}  # {name}", told[key])
    # As the checklist has it, of the daemon that runs.
    with Daemon(place, plugins=tree.plugins, environment={"MCP_PLUGIN_TIMEOUT": "12"}, name="shown") as daemon:
        expect("smcpctl config show --origin\n" in page, "the checklist has another command")
        shown = daemon.ctl("config", "show", "--origin").stdout
        expect(re.search(r"^execution\.timeout\s+12\.0\s+MCP_PLUGIN_TIMEOUT$", shown, re.MULTILINE), shown)
    # Keys are in no list; what they open shows that they are read.
    keys = {"MCP_API_KEY": "one", "MCP_API_KEYS": "two"}
    expect(sorted(named) == sorted([*cases, *keys]), named)
    with Daemon(place, plugins=tree.plugins, environment=keys) as daemon:
        for key in keys.values():
            expect("notes__add" in daemon.tools({"X-API-Key": key}), key)
        expect(daemon.request("POST", "/messages/", {})[0] == 401, "no key was needed")


@claim("The flags")
def check_every_flag_of_the_page_is_taken(place):
    line = re.search(r"- \*\*The flags\*\*(.+?)(?=\n- )", page_of(place), re.DOTALL)[1]
    flags = {"--host": ["127.0.0.2"], "--port": ["8123"], "--plugin-timeout": ["12"]}
    flags |= {"--allow-external": [], "--require-auth": []}
    expect(sorted(re.findall(r"`(--[\w-]+)`", line)) == sorted(flags), line)
    words = [word for flag, values in flags.items() for word in (flag, *values)]
    told = effective(place, {"MCP_API_KEY": "k"}, *words)
    keys = {
        "--host": "http.host", "--port": "http.port", "--plugin-timeout": "execution.timeout",
        "--allow-external": "http.allow_external", "--require-auth": "auth.required",
    }
    for flag, key in keys.items():
        expect(told[key].endswith(f"# {flag}"), (flag, told[key]))


@claim("No authentication at all")
def check_disabled_authentication_asks_for_no_key_on_any_address(place):
    told = effective(place, {"MCP_AUTH_DISABLED": "1", "MCP_HOST": "0.0.0.0"})
    expect(told["http.host"] == '"0.0.0.0"  # MCP_HOST', told)
    with served(place, environment={"MCP_AUTH_DISABLED": "1", "MCP_API_KEY": "k"}) as daemon:
        expect("notes__add" in daemon.tools(), "a key was needed")
        expect(re.search(r"WARN.*(auth|key)", daemon.said()), daemon.said())


# --- Calls ----------------------------------------------------------------------------------------------------------


@claim("An unknown argument")
def check_an_unknown_argument_is_refused_before_the_program_starts(place):
    with served(place) as daemon:
        error = failure(daemon.call("desk.write", {"line": "a", "colour": "red"}))
        expect(error["code"] == "invalid_arguments" and "`colour`" in error["message"], error)
        expect("`line`" in error["message"], error)
        expect(not os.path.exists(os.path.join(daemon.state, "state", "desk", "lines.txt")), "it was started")


@claim("A missing argument")
def check_a_missing_argument_is_refused_by_name(place):
    with served(place) as daemon:
        error = failure(daemon.call("notes.add"))
        expect(error["code"] == "invalid_arguments" and "`title`" in error["message"], error)


@claim("A wrong type")
def check_a_wrong_type_is_refused_and_what_clients_send_passes(place):
    with served(place) as daemon:
        error = failure(daemon.call("notes.add", {"title": "a", "stars": "many"}))
        expect(error["code"] == "invalid_arguments" and "`stars`" in error["message"], error)
        expect(structured(daemon.call("notes.add", {"title": "a", "stars": "7"}))["stars"] == 7, "another")
        expect(structured(daemon.call("notes.add", {"title": "a", "stars": None}))["stars"] is None, "another")
    tree = os.path.join(place.temp, "hyphen")
    os.makedirs(os.path.join(tree, "tidy"))
    with open(os.path.join(tree, "tidy", "cli.py"), "w") as file:
        file.write(
            "import argparse\nparser = argparse.ArgumentParser()\ncommands = parser.add_subparsers(dest='command')\n"
            "run = commands.add_parser('run')\nrun.add_argument('--dry-run', action='store_true')\n"
            "print('{\"dry\": %s}' % str(parser.parse_args().dry_run).lower())\n"
        )
    with Daemon(place, plugins=tree, name="tidy") as daemon:
        for spelling in "dry-run", "dry_run":
            expect(structured(daemon.call("tidy.run", {spelling: True})) == {"dry": True}, spelling)


@claim("An unknown tool")
def check_an_unknown_tool_is_an_error_of_the_protocol(place):
    with served(place) as daemon:
        answer = daemon.ask("tools/call", {"name": "nobody.knows", "arguments": {}})
        expect(answer.get("error", {}).get("code") == UNKNOWN_TOOL and "result" not in answer, answer)


@claim("A call may take 300 seconds.")
def check_the_time_limit_its_default_and_its_ways_out(place):
    expect(effective(place, {})["execution.timeout"].startswith("300.0 "), "another default")
    expect(effective(place, {"MCP_PLUGIN_TIMEOUT": "0"})["execution.timeout"] == "0.0  # MCP_PLUGIN_TIMEOUT", "another")
    expect(refused(place, environment={"MCP_PLUGIN_TIMEOUT": "-1"}).status == 2, "another status")
    with served(place, environment={"MCP_PLUGIN_TIMEOUT": "0.3"}) as daemon:
        error = failure(daemon.call("desk.wait", {"seconds": 30}))
        expect(error["code"] == "timeout", error)
    config = "[execution]\ntimeout = 0.3\n[plugin.desk]\ntimeout = 0\n"
    with Daemon(place, plugins=daemon.tree.plugins, config=config, name="lifted") as daemon:
        structured(daemon.call("desk.wait", {"seconds": 1}))


@claim("Calls of one plugin")
def check_calls_of_one_plugin_wait_for_each_other_unless_allowed(place):
    with served(place) as daemon:
        expect(not overlapping(daemon), "calls that overlap")
    with Daemon(place, plugins=daemon.tree.plugins, config="[plugin.desk]\nconcurrency = 4\n", name="four") as daemon:
        expect(overlapping(daemon), "calls one by one")


def overlapping(daemon):
    """Whether two calls of one plugin, made at once, ran at the same time."""
    runs = []

    def run():
        runs.append(structured(daemon.call("desk.wait", {"seconds": 1})))

    calls = [threading.Thread(target=run) for _ in range(2)]
    for call in calls:
        call.start()
    for call in calls:
        call.join(60)
    expect(len(runs) == 2, runs)
    first, second = sorted(runs, key=lambda run: run["began"])
    return second["began"] < first["ended"]


@claim("Output has a limit")
def check_long_output_is_cut_in_its_middle(place):
    expect(effective(place, {})["execution.output_limit"].startswith(f"{8 * 1024 * 1024} "), "another default")
    with served(place, config="[execution]\noutput_limit = 1024\n") as daemon:
        result = daemon.call("desk.long", {"letters": 30_000})
        text = result["content"][0]["text"]
        expect(len(text) < 2_000 and text.startswith("xxx") and text.endswith("xxx"), len(text))
        expect("truncated" in structured(result), result)
        error = failure(daemon.call("desk.long", {"letters": 40_000}))
        expect(error["code"] == "output_too_large", error)


@claim("`connect` and `disconnect`")
def check_connect_in_a_contract_is_no_tool(place):
    with served(place) as daemon:
        expect("notes__chatty" in daemon.tools() and "notes__connect" not in daemon.tools(), sorted(daemon.tools()))


# --- The place of a run ---------------------------------------------------------------------------------------------


@claim("The working directory")
def check_relative_files_land_in_the_state_directory_or_where_the_operator_says(place):
    with served(place) as daemon:
        written = structured(daemon.call("desk.write", {"line": "a"}))["written"]
        expect(written == os.path.join(daemon.state, "state", "desk", "lines.txt"), written)
        # `~/.local/state/smcp` unless XDG_STATE_HOME says otherwise; the package's unit has StateDirectory=smcp.
        expect(daemon.state == os.path.join(daemon.environment["XDG_STATE_HOME"], "smcp"), daemon.state)
    with open(os.path.join(place.root, "packaging/systemd/smcpd.service")) as unit:
        text = unit.read()
        expect("\nStateDirectory=smcp\n" in text and "smcpd --system" in text, "another state directory")
    old = daemon.tree.root
    with Daemon(place, plugins=daemon.tree.plugins, config=f'[plugin.desk]\ndir = "{old}"\n', name="moved") as daemon:
        written = structured(daemon.call("desk.write", {"line": "a"}))["written"]
        expect(written == os.path.join(old, "lines.txt"), written)


@claim("The interpreter")
def check_packages_of_the_old_environment_are_found_once_it_is_named(place):
    with served(place, needy=True) as daemon:
        shown = daemon.ctl("plugin", "list").stdout
        expect(re.search(r"^needy\s+failed.*oldpackage", shown, re.MULTILINE), shown)
        tree = daemon.tree
    python = environment_with_package(place, os.path.join(tree.root, "venv"))
    with Daemon(place, plugins=tree.plugins, config=f'[plugins]\npython = "{python}"\n', name="named") as daemon:
        expect(structured(daemon.call("needy.use")) == {"package": "old"}, "another")
    for beside in ".venv", "venv":
        environment_with_package(place, os.path.join(tree.needy, beside))
        with Daemon(place, plugins=tree.plugins, name=f"beside{beside}") as daemon:
            expect(structured(daemon.call("needy.use")) == {"package": "old"}, beside)
        os.rename(os.path.join(tree.needy, beside), os.path.join(tree.root, f"taken-{beside}"))


def environment_with_package(place, directory):
    """Makes a virtual environment that has `oldpackage`, and returns its interpreter."""
    subprocess.run([place.python, "-m", "venv", "--without-pip", directory], check=True, timeout=120)
    python = os.path.join(directory, "bin", "python")
    question = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", question], check=True, capture_output=True, text=True, timeout=60)
    with open(os.path.join(packages.stdout.strip(), "oldpackage.py"), "w") as file:
        file.write('NAME = "old"\n')
    return python


# --- Secrets --------------------------------------------------------------------------------------------------------

WITHHELD = ["MCP_API_KEY", "MCP_API_KEYS", "LETTA_API_KEY", "LETTA_SERVER_PASSWORD"]


@claim("Keys are withheld")
def check_keys_do_not_reach_plugins(place):
    line = re.search(r"- \*\*Keys are withheld\*\*(.+?)(?=\n- )", page_of(place), re.DOTALL)[1]
    expect(re.findall(r"`(\w+)`", line) == WITHHELD, line)
    with served(place, environment={name: "secret" for name in WITHHELD}) as daemon:
        for name in WITHHELD:
            said = structured(daemon.call("desk.variable", {"name": name}, {"X-API-Key": "secret"}))
            expect(said == {"value": None}, (name, said))


@claim("A plugin that needs one")
def check_a_granted_key_reaches_its_plugin(place):
    config = '[plugin.desk]\nenv = { LETTA_API_KEY = "granted" }\n'
    with served(place, config=config, environment={"LETTA_API_KEY": "the daemon's"}) as daemon:
        said = structured(daemon.call("desk.variable", {"name": "LETTA_API_KEY"}))
        expect(said == {"value": "granted"}, said)


# --- Who may connect ------------------------------------------------------------------------------------------------


@claim("A key holds on loopback too.")
def check_loopback_needs_the_key_unless_it_is_let_off(place):
    with served(place, environment={"MCP_API_KEY": "k"}) as daemon:
        expect(daemon.request("POST", "/messages/", {})[0] == 401, "no key was needed")
    variables = {"MCP_API_KEY": "k", "MCP_AUTH_ALLOW_LOOPBACK": "1"}
    with Daemon(place, plugins=daemon.tree.plugins, environment=variables, name="let-off") as daemon:
        expect("notes__add" in daemon.tools(), "a key was needed")


@claim("Beyond loopback a key is needed")
def check_no_start_beyond_loopback_without_a_key(place):
    for options in (
        {"environment": {"MCP_HOST": "0.0.0.0"}},
        {"arguments": ["--host", "192.0.2.7"]},
        {"arguments": ["--allow-external"]},
    ):
        ended = refused(place, **options)
        expect(ended.status == 2 and "MCP_API_KEY" in ended.said, (options, ended))
    told = effective(place, {"MCP_API_KEY": "k"}, "--host", "192.0.2.7")
    expect(told["http.host"] == '"192.0.2.7"  # --host', told)


@claim("A host is an address")
def check_a_name_is_no_host(place):
    ended = refused(place, environment={"MCP_HOST": "tools.example.org"})
    expect(ended.status == 2 and "MCP_HOST" in ended.said, ended)
    expect(effective(place, {"MCP_HOST": "localhost"})["http.host"] == '"localhost"  # MCP_HOST', "another")


@claim("Another name in `Host`")
def check_only_known_names_in_host_are_answered(place):
    def status(daemon, host):
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        return daemon.request("POST", "/messages/", body, {"Host": host})[0]

    with served(place) as daemon:
        port = daemon.address.rpartition(":")[2]
        for host in f"localhost:{port}", f"127.0.0.1:{port}", f"host.docker.internal:{port}":
            expect(status(daemon, host) == 200, host)
        expect(status(daemon, "tools.example.org") == 403, "it was answered")
    config = '[http]\nhosts = ["tools.example.org"]\n'
    with Daemon(place, plugins=daemon.tree.plugins, config=config, name="named") as daemon:
        expect(status(daemon, "tools.example.org") == 200, "it was refused")


@claim("A page in a browser")
def check_a_foreign_origin_is_refused_unless_named(place):
    def status(daemon):
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        return daemon.request("POST", "/messages/", body, {"Origin": "https://app.example.org"})[0]

    with served(place) as daemon:
        expect(status(daemon) == 403, "it was answered")
    config = '[http]\norigins = ["https://app.example.org"]\n'
    with Daemon(place, plugins=daemon.tree.plugins, config=config, name="named") as daemon:
        expect(status(daemon) == 200, "it was refused")


# --- What is different ----------------------------------------------------------------------------------------------


@claim("The `health` tool")
def check_the_health_tool_counts_plugins(place):
    with served(place) as daemon:
        said = structured(daemon.call("health"))
        expect(said["status"] == "ok" and said["plugins"]["described"] == 2, said)
        expect("notes" not in json.dumps(said), said)
        expect("notes" in daemon.ctl("plugin", "list").stdout, "it is not in the list")


@claim("No restart")
def check_plugins_are_noticed_while_the_daemon_runs(place):
    with served(place) as daemon:
        spare = daemon.tree.plugin("spare", "", link=None)
        with open(os.path.join(daemon.tree.desk, "cli.py")) as file:
            daemon.tree.write(os.path.join(spare, "cli.py"), file.read())
        until(lambda: "spare__where" in daemon.tools(), "it was not added")
        with open(os.path.join(spare, "cli.py")) as file:
            changed = file.read().replace('"where"', '"whence"')
        daemon.tree.write(os.path.join(spare, "cli.py"), changed)
        until(lambda: "spare__whence" in daemon.tools(), "its change was not seen")
        os.unlink(os.path.join(daemon.tree.plugins, "notes"))
        until(lambda: "notes__add" not in daemon.tools(), "it is still there")


def until(holds, otherwise):
    deadline = time.monotonic() + 30
    while not holds():
        expect(time.monotonic() < deadline, otherwise)
        time.sleep(0.1)


@claim("No log file")
def check_the_log_is_on_stderr_unless_a_file_is_named(place):
    log = os.path.join(place.temp, "smcpd-own.log")
    with served(place) as daemon:
        expect(daemon.said(), "nothing on stderr")
        logs = [name for _, _, names in os.walk(daemon.tree.root) for name in names if name.endswith(".log")]
        expect(not logs, logs)
        expect(not os.path.exists(os.path.join(daemon.directory, "logs")), "a directory for logs")
    with Daemon(place, plugins=daemon.tree.plugins, config=f'[log]\nfile = "{log}"\n', name="logged"):
        # A new one each day.
        files = glob.glob(f"{log}.*-*-*")
        expect(len(files) == 1 and os.path.getsize(files[0]) > 0, files)


@claim("Profiles are held on calls too")
def check_the_profiles_of_the_old_system_are_held(place):
    with served(place) as daemon:
        expect("notes__add" in daemon.tools(), daemon.tools())
    profiles = os.path.join(place.temp, "profiles.json")
    with open(profiles, "w") as file:
        json.dump({"default_profile": "few", "profiles": {"few": {"mode": "prefix", "prefix": "desk__"}}}, file)
    variables = {"SMCP_PROFILES": profiles, "SMCP_ATTACH_PROFILE": "few", "SMCP_ADMIN_PREFIX": "desk__"}
    with Daemon(place, plugins=daemon.tree.plugins, environment=variables, name="profiles") as daemon:
        listed = daemon.tools()
        expect(listed and all(name.startswith("desk__") for name in listed), listed)
        answer = daemon.ask("tools/call", {"name": "notes.add", "arguments": {"title": "a"}})
        expect(answer["error"]["code"] == -32602, answer)


# --- The rest of the page -------------------------------------------------------------------------------------------


def page_of(place):
    with open(os.path.join(place.root, "docs/migrating.md")) as file:
        return file.read()


def check_the_old_directory_is_not_written_to(place):
    tree = OldTree(place)
    before = state_of(tree.root)
    with Daemon(place, plugins_flag=False, environment={"MCP_PLUGINS_DIR": tree.plugins}) as daemon:
        structured(daemon.call("notes.add", {"title": "a"}))
        structured(daemon.call("desk.write", {"line": "a"}))
    # But for what Python itself keeps beside the modules that a plugin imports, as it always did.
    after = state_of(tree.root)
    expect(after == before, after.items() ^ before.items())


def state_of(root):
    paths = [os.path.join(directory, name) for directory, _, names in os.walk(root) for name in names]
    return {path: os.stat(path).st_mtime_ns for path in paths if "__pycache__" not in path}


def check_the_loop_of_the_checklist_judges_every_plugin(place):
    tree = OldTree(place)
    line = re.search(r"^ +(for program in .+)$", page_of(place), re.MULTILINE)[1]
    script = line.replace("/opt/smcp/smcp/plugins", tree.plugins).replace("; done", '; echo "ended with $?"; done')
    # The programs side by side, as they are installed.
    bin = os.path.join(place.temp, "bin")
    os.mkdir(bin)
    for name, program in ("smcpd", place.smcpd), ("smcpctl", place.smcpctl):
        os.symlink(program, os.path.join(bin, name))
    environment = basic(place, place.temp)
    environment["PATH"] = os.pathsep.join([bin, environment["PATH"]])
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    ends = re.findall(r"^ended with (\d+)$", done.stdout, re.MULTILINE)
    # In the order of the shell: broken, desk, notes.
    expect(ends == ["7", "0", "0"], done)


def check_linking_a_plugin_from_its_own_place_serves_it(place):
    tree = OldTree(place)
    with Daemon(place) as daemon:
        done = daemon.ctl("plugin", "link", tree.notes, "--name", "notes")
        expect(done.returncode == 0, done)
        expect(structured(daemon.call("notes.add", {"title": "a"}))["title"] == "a", "another")
