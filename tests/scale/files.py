"""The files as they are shipped, and the page that shows them."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

from fleet import PROXIES, Place, free_ports, wait

PAGE = "docs/scale.md"
PYYAML = "PyYAML==6.0.3"
TO_JSON = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)"
# What an agentgateway may have where our file has something, by its published schema (schema/config.md).
ROUTE = {"name", "matches", "policies", "backends"}
POLICIES = {"mcpAuthentication", "timeout", "retry"}


def text_of(root, path):
    with open(os.path.join(root, path)) as file:
        return file.read()


def yaml_of(root, name):
    """Reads a file of YAML with PyYAML: this interpreter's, else one in an environment of its own."""
    python = os.path.realpath(sys.executable)
    if subprocess.run([python, "-c", "import yaml"], capture_output=True, timeout=60).returncode:
        directory = os.path.join(root, "target", "scale", "yaml")
        pip = os.path.join(directory, "bin", "pip")
        made = [[python, "-m", "venv", directory], [pip, "install", "--quiet", PYYAML]]
        python = os.path.join(directory, "bin", "python")
        for command in made if not os.path.exists(python) else []:
            subprocess.run(command, check=True, timeout=300)
    path = os.path.join(PROXIES, name)
    done = subprocess.run([python, "-c", TO_JSON, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def the_page_shows_lines_of_the_files_and_links_to_each(root):
    page = text_of(root, PAGE)
    for name in sorted(os.listdir(PROXIES)):
        assert f"(../packaging/proxies/{name})" in page, f"no link to {name}"
    blocks = re.findall(r"^<!-- (\S+) -->\n```\w*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4, len(blocks)
    for name, block in blocks:
        told = "\n".join(line.strip() for line in text_of(PROXIES, name).splitlines())
        shown = "\n".join(line.strip() for line in block.strip().splitlines())
        # A line of dots leaves something out.
        for part in shown.split("\n...\n"):
            assert part in told, f"{name} has no\n{part}"


def the_page_has_the_rows_that_grow_prints(root):
    told = re.findall(r"^\| (.+?) \| (\d+ → \d+) \| × [\d.]+ \|", text_of(root, PAGE), re.MULTILINE)
    source = text_of(root, "tests/scale/grow")
    assert len(told) == 6, told
    missing = [name for name, _ in told if f'"{name}"' not in source]
    assert not missing, missing


def three_daemons_start_as_the_page_says(root):
    line = next(block for block in text_of(root, PAGE).split("\n\n") if block.startswith("    for instance in"))
    with tempfile.TemporaryDirectory(prefix="smcp-scale-") as home:
        os.mkdir(os.path.join(home, "plugins"))
        ports = free_ports(3)
        for shipped, port in zip((8001, 8002, 8003), ports):
            line = line.replace(f":{shipped}", f":{port}")
        path = os.pathsep.join([os.path.dirname(Place(home).smcpd), os.environ.get("PATH", os.defpath)])
        # The shell outlives them, to bury them.
        shell = subprocess.Popen(
            ["sh", "-c", f"trap : TERM\n{line}\nwait; wait; wait; wait"], env={"HOME": home, "PATH": path}, cwd=home,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        try:
            for port in ports:
                wait(20, f"a daemon answers on {port}", lambda port=port: is_well(port))
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
            shell.wait(20)


def is_well(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def every_file_has_the_same_daemons_and_times(root):
    for name in "nginx.conf", "haproxy.cfg", "envoy.yaml":
        text = text_of(PROXIES, name)
        for port in "8001", "8002", "8003", "8080":
            assert re.search(rf"(127\.0\.0\.1:|port_value: ){port}\b", text), (name, port)
        # Longer than the longest call: `execution.timeout` and its grace.
        execution = text_of(root, "packaging/smcpd.toml").split("\n[execution]\n")[1].split("\n[")[0]
        limits = dict(re.findall(r"^#(timeout|grace) = (\d+)", execution, re.MULTILINE))
        longest = int(limits["timeout"]) + int(limits["grace"])
        assert int(re.search(r"\b(\d\d\d)s\b", text)[1]) > longest, (name, limits)


def agentgateways_file_is_yaml_of_its_form(root):
    """It is not run: no registry that this project uses has its program."""
    found = yaml_of(root, "agentgateway.yaml")
    assert set(found) == {"binds"}, set(found)
    routes = [route for bind in found["binds"] for listener in bind["listeners"] for route in listener["routes"]]
    assert len(routes) == 2
    for route in routes:
        assert set(route) <= ROUTE and set(route.get("policies", {})) <= POLICIES, route
        for backend in route["backends"]:
            target = backend["mcp"]["targets"][0]["mcp"]["host"] if "mcp" in backend else backend["host"]
            # What stands behind it is one of the balancers here.
            assert "127.0.0.1:8080" in target, target


CHECKS = [
    the_page_shows_lines_of_the_files_and_links_to_each,
    the_page_has_the_rows_that_grow_prints,
    three_daemons_start_as_the_page_says,
    every_file_has_the_same_daemons_and_times,
    agentgateways_file_is_yaml_of_its_form,
]
