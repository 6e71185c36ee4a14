"""packaging/compose/letta.yaml: that Compose can read it, and that it fits the image, the daemon and docs/letta.md."""

import json
import os
import re
import subprocess

from daemon import basic, expect

FILE = "packaging/compose/letta.yaml"
PYYAML = "PyYAML==6.0.3"
TO_JSON = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)"


def text_of(place, path):
    with open(os.path.join(place.root, path)) as file:
        return file.read()


def compose(place):
    """The file as it stands, read by PyYAML: this interpreter's, else one in an environment of its own."""
    python = place.python
    if subprocess.run([python, "-c", "import yaml"], capture_output=True, timeout=60).returncode:
        directory = os.path.join(place.root, "target", "docs", "yaml")
        python = os.path.join(directory, "bin", "python")
        if not os.path.exists(os.path.join(directory, "installed")):
            run([place.python, "-m", "venv", "--clear", directory])
            run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYYAML])
            open(os.path.join(directory, "installed"), "w").close()
    return json.loads(run([python, "-c", TO_JSON, os.path.join(place.root, FILE)]))


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, **options)
    expect(done.returncode == 0, done)
    return done.stdout


def containerfile(place):
    """What the image is: its variables, and the rest of it by instruction."""
    text = text_of(place, "Containerfile")
    last = text[text.rindex("\nFROM "):]
    variables = dict(re.findall(r"(\w+)=(\S+)", re.search(r"^ENV (.+)$", last, re.MULTILINE)[1]))
    words = {name: re.search(rf"^{name} (.+)$", last, re.MULTILINE)[1] for name in ("VOLUME", "EXPOSE", "ENTRYPOINT")}
    return variables, words


def mounts(service):
    """What is mounted, by where. A variable may have a colon of its own."""
    found = {}
    for line in service["volumes"]:
        source, target = re.fullmatch(r"(\$\{.+?\}|[^:]+):([^:]+)(?::ro)?", line).groups()
        found[target] = source
    return found


def check_compose_itself_reads_it_where_it_is_installed(place):
    try:
        found = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=60).returncode == 0
    except OSError:
        found = False
    if not found:
        # What can be said without it: PyYAML reads it, and it has what Compose asks of a file.
        told = compose(place)
        expect(set(told) == {"name", "services", "volumes"}, sorted(told))
        expect(all("image" in service or "build" in service for service in told["services"].values()), told)
        used = [source for service in told["services"].values() for source in mounts(service).values()]
        named = {source for source in used if re.fullmatch(r"[\w-]+", source)}
        expect(named == set(told["volumes"]), (named, told["volumes"]))
        return
    variables = {**os.environ, "SMCP_API_KEY": "k", "LETTA_SERVER_PASSWORD": "p"}
    command = ["docker", "compose", "-f", os.path.join(place.root, FILE), "config", "--format", "json"]
    told = json.loads(run(command, env=variables))
    expect(told["services"]["smcpd"]["environment"]["MCP_API_KEY"] == "k", told)
    for missing in "SMCP_API_KEY", "LETTA_SERVER_PASSWORD":
        less = {name: value for name, value in variables.items() if name != missing}
        done = subprocess.run(command, env=less, capture_output=True, text=True, timeout=60)
        expect(done.returncode != 0 and missing in done.stderr, done)


def check_what_is_built_and_mounted_is_there(place):
    service = compose(place)["services"]["smcpd"]
    beside = os.path.dirname(os.path.join(place.root, FILE))
    context = os.path.normpath(os.path.join(beside, service["build"]["context"]))
    expect(context == place.root, context)
    expect(os.path.isfile(os.path.join(context, service["build"]["dockerfile"])), service["build"])
    for source in mounts(service).values():
        # The default of a variable.
        source = re.sub(r"\$\{\w+:-(.+)\}", r"\1", source)
        if source.startswith("."):
            expect(os.path.exists(os.path.join(beside, source)), source)


def check_mounts_and_ports_are_those_of_the_image(place):
    service = compose(place)["services"]["smcpd"]
    variables, words = containerfile(place)
    expect(set(mounts(service)) == {"/etc/smcp/smcpd.toml", variables["MCP_PLUGINS_DIR"], words["VOLUME"]}, service)
    expect(words["VOLUME"] == variables["HOME"], words)
    expect(service["ports"] == [f"127.0.0.1:{words['EXPOSE']}:{words['EXPOSE']}"], service)
    default = re.search(r"^#port = (\d+)$", text_of(place, "packaging/smcpd.toml"), re.MULTILINE)[1]
    expect(words["EXPOSE"] == default, (words, default))
    file = service["command"][service["command"].index("--config") + 1]
    expect(file in mounts(service), file)
    # What the unit gives a daemon that stops.
    seconds = re.search(r"^TimeoutStopSec=(\d+)$", text_of(place, "packaging/systemd/smcpd.service"), re.MULTILINE)[1]
    expect(service["stop_grace_period"] == f"{seconds}s", service)


def check_the_daemon_knows_every_variable_and_takes_the_configuration(place):
    service = compose(place)["services"]["smcpd"]
    known = set(re.findall(r"^\.It Ev (\w+)", text_of(place, "man/smcpd.8"), re.MULTILINE))
    expect({"MCP_API_KEY", "MCP_PORT"} <= known and set(service["environment"]) <= known, service["environment"])
    _, words = containerfile(place)
    config = os.path.join(place.root, "packaging/compose/smcpd.toml")
    arguments = [*json.loads(words["ENTRYPOINT"])[1:], *service["command"]]
    arguments = [place.smcpd, *(config if word == "/etc/smcp/smcpd.toml" else word for word in arguments), "--check"]
    environment = basic(place, place.temp)
    given = {name: "k" for name in service["environment"]}
    told = run(arguments, env={**environment, **given})
    expect(re.search(r'^http\.hosts = \["smcpd"\] ', told, re.MULTILINE), told)
    expect(re.search(r"^http\.allow_external = true ", told, re.MULTILINE), told)
    # Compose refuses without the key; so would the daemon.
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=30)
    expect(done.returncode == 2 and "MCP_API_KEY" in done.stderr, done)
    for name, service in compose(place)["services"].items():
        is_secret = re.compile("PASSWORD$|^MCP_API_KEY$").search
        secrets = [value for variable, value in service["environment"].items() if is_secret(variable)]
        expect(secrets and all(re.match(r"\$\{\w+:\?", value) for value in secrets), (name, secrets))


def check_the_page_and_the_file_say_the_same(place):
    told = compose(place)["services"]
    page = text_of(place, "docs/letta.md")
    commands = re.findall(rf"docker compose -f {FILE} up(.*)$", page, re.MULTILINE)
    expect([command.split() for command in commands] == [["--build"], ["letta"]], commands)
    expect("letta" in told and "smcpd" in told, told)
    # A service that waited for smcpd would start it, where the host's is meant.
    expect("depends_on" not in told["letta"], told["letta"])
    # Both ways lead to addresses that are not public, which a later Letta refuses.
    version = re.search(r":(\d+)\.(\d+)\.(\d+)$", told["letta"]["image"]).groups()
    expect(tuple(map(int, version)) <= (0, 16, 6) and "0.16.6, the last" in page, version)
    expect(told["letta"]["extra_hosts"] == ["host.docker.internal:host-gateway"], told["letta"])
    expect('extra_hosts: ["host.docker.internal:host-gateway"]' in page, "the page says something else")
    for name in re.findall(r"\$\{(\w+):\?", text_of(place, FILE)):
        expect(re.search(rf"export .*\b{name}=", page), name)
    # To nobody but this host.
    for service in told.values():
        expect(all(port.startswith("127.0.0.1:") for port in service["ports"]), service["ports"])
