"""What the tests share: a host in a temporary directory, and the real `cli.py` run on it as the daemon does."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PLUGIN = Path(__file__).resolve().parents[1]
CLI = PLUGIN / "cli.py"
if str(PLUGIN) not in sys.path:
    sys.path.insert(0, str(PLUGIN))
LIMIT = 60
if not any(importlib.util.find_spec(name) for name in ("tomllib", "tomli")):
    raise unittest.SkipTest("Python before 3.11 needs what requirements.txt names")


def toml(value):
    """Writes a value as TOML has it; JSON's texts, numbers and lists are TOML's too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def tree(directory):
    """Returns everything below a directory: names, kinds, contents, times of change."""
    found = {}
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(parent, name)
            mark = os.readlink(path) if os.path.islink(path) else os.path.isfile(path) and Path(path).read_bytes()
            found[os.path.relpath(path, directory)] = (mark, os.lstat(path).st_mtime_ns)
    return found


SYSTEMCTL = """#!/bin/sh
# Keeps what it was asked to do; `show` answers from a file.
case $1 in
show) cat "$HOST/show" 2>/dev/null || printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nMainPID=42\\nNRestarts=0\\n' ;;
*) echo "$*" >>"$HOST/systemctl"
   case "$*" in
   *reset-failed*) rm -f "$HOST/too-often" ;;
   *) [ ! -e "$HOST/too-often" ] || { echo 'started too often; to force a start use "systemctl reset-failed"'; exit 1; } ;;
   esac
   [ ! -e "$HOST/systemctl-fails" ] || { echo "no such unit"; exit 5; } ;;
esac
"""


class Host:
    """A host with one app `web` from a directory of files, unless told otherwise."""

    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="devops-test-"))
        self.root = self.home / "web"
        self.source = self.home / "source"
        self.source.mkdir()
        self.bin = self.home / "bin"
        program(self.bin / "systemctl", SYSTEMCTL)
        self.environment = {
            **os.environ,
            "HOST": str(self.home),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "DEVOPS_CONFIG": str(self.home / "devops.toml"),
            "SMCP_STATE_DIR": str(self.home / "state"),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "4000",
            "NO_COLOR": "1",
        }
        self.app = {"root": str(self.root), "source": {"directory": str(self.source)}}

    def close(self):
        shutil.rmtree(self.home)

    def configure(self, **over):
        self.app.update(over)
        app = {key: value for key, value in self.app.items() if value is not None}
        (self.home / "devops.toml").write_text("[apps]\nweb = " + toml(app) + "\n")

    def write(self, version, **files):
        (self.source / "version").write_text(version)
        for name, text in files.items():
            (self.source / name).write_text(text)

    def start(self, *argv, **more):
        return subprocess.Popen(
            [sys.executable, str(CLI), *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", env={**self.environment, **more}, cwd=self.home,
        )

    def run(self, *argv, **more):
        process = self.start(*argv, **more)
        try:
            stdout, stderr = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)

    def answer(self, *argv, **more):
        done = self.run(*argv, **more)
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def error(self, *argv, **more):
        done = self.run(*argv, **more)
        assert done.returncode == 1, (argv, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def deploy(self, *argv, **more):
        return self.answer("deploy", "--app-name=web", *argv, **more)

    def runs(self):
        """Returns the version that `current` leads to."""
        return (self.root / "current" / "version").read_text()

    def releases(self):
        return sorted(os.listdir(self.root / "releases"))

    def asked(self):
        path = self.home / "systemctl"
        return path.read_text().splitlines() if path.exists() else []

    def repository(self, version="one"):
        """Makes a git repository beside, as the source, with one commit; returns the commit."""
        self.git("init", "--quiet", "--initial-branch=main")
        self.app["source"] = {"git": str(self.source), "ref": "main"}
        return self.commit(version)

    def commit(self, version):
        self.write(version)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", version)
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *words):
        identity = ("-c", "user.name=Test", "-c", "user.email=test@host.invalid", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.source, env=self.environment, stdout=subprocess.PIPE, check=True, timeout=LIMIT
        )
        return done.stdout.decode()


class OnHost(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.close)
