"""kill -9 at every step: what runs is never lost, and the next command ends what was begun."""

import json
import os
import signal
import unittest
from concurrent.futures import ThreadPoolExecutor

from .bench import LIMIT, PLUGIN, Host, OnHost, program

# Laid on PYTHONPATH: the process kills itself at its Nth change of a file or start of a program, before it is done.
SUICIDE = """
import os, signal, sys
left = int(os.environ.pop("KILL_AT", "0"))
CHANGES = {"os.rename", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "subprocess.Popen"}
def watch(event, arguments):
    global left
    if event == "open":
        if not arguments[2] & (os.O_WRONLY | os.O_RDWR) or str(arguments[0]).startswith("/dev/"):
            return
    elif event not in CHANGES:
        return
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
if left:
    sys.addaudithook(watch)
"""
COUNT = 400


def scan_for(mark):
    """Returns the processes that have a variable in their environment."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark.encode() in file.read():
                    found.append(int(name))
        except OSError:
            pass
    return found


def one_deployed(**over):
    host = Host()
    host.write("one")
    host.configure(units=["web.service"], shared=["data/"], keep=2, health={"command": ["test", "-e", "version"], "retries": 0}, **over)
    host.deploy()
    return host


class AtEveryChange(unittest.TestCase):
    def killed(self, argv, number, before, prepare):
        """Kills one command at its Nth change; returns False where it ended before it came to that."""
        host = one_deployed()
        try:
            prepare(host)
            (host.home / "site").mkdir()
            (host.home / "site/sitecustomize.py").write_text(SUICIDE)
            done = host.run(*argv, KILL_AT=str(number), PYTHONPATH=str(host.home / "site"))
            if done.returncode != -signal.SIGKILL:
                assert done.returncode == 0, (number, done)
                return False
            # What runs is whole, and it is told what happened.
            where = f"killed at change {number}"
            assert host.runs() in before, where
            assert os.path.exists(host.root / "current/data"), where
            status = host.answer("status", "--app-name=web")
            assert "problem" not in status and "busy" not in status, (where, status)
            journal = (host.root / ".devops/journal").exists()
            assert journal == ("interrupted" in status), (where, status)
            # And the next deploy is as if nothing had been.
            host.write("three")
            answer = host.deploy()
            assert answer["outcome"] == "deployed" and host.runs() == "three", (where, answer)
            assert ("recovered" in answer) == journal, (where, answer)
            records = sorted(name[: -len(".json")] for name in os.listdir(host.root / ".devops/records"))
            assert host.releases() == records and answer["release"] in records, (where, records)
            assert host.answer("status")["apps"][0].get("interrupted") is None, where
            host.answer("rollback", "--app-name=web")
            assert host.runs() in before, where
            return True
        finally:
            host.close()

    def at_each(self, argv, before, prepare):
        with ThreadPoolExecutor(8) as pool:
            first, came = 1, 0
            while first < COUNT:
                numbers = range(first, first + 16)
                ended = list(pool.map(lambda number: self.killed(argv, number, before, prepare), numbers))
                came += sum(ended)
                if not all(ended):
                    return came
                first += 16
        self.fail(f"it has more than {COUNT} changes")

    def test_deploy(self):
        came = self.at_each(["deploy", "--app-name=web"], ("one", "two"), lambda host: host.write("two"))
        # Each step writes the journal before it does anything, which alone is two changes.
        self.assertGreater(came, 30)

    def test_rollback(self):
        def two(host):
            host.write("two")
            host.deploy()

        self.assertGreater(self.at_each(["rollback", "--app-name=web"], ("one", "two"), two), 10)


class WhileAProgramRuns(OnHost):
    """A program of the step waits at a FIFO; the deploy is killed; the program must not outlive the recovery."""

    BLOCK = "#!/bin/sh\n[ ! -e $HOST/block ] || { rm $HOST/block; echo x >$HOST/fifo; sleep 600; }\n"

    def kill_at(self, step, **over):
        host = self.host
        host.write("one")
        program(host.bin / "blocker", self.BLOCK)
        if step == "restart":
            program(host.bin / "systemctl", self.BLOCK.replace("[ !", '[ "$1" = show ] || [ !'))
        host.configure(units=["web.service"], **over)
        host.deploy()
        if "git" in host.app["source"]:
            host.commit("two")
        host.write("two")
        os.mkfifo(host.home / "fifo")
        (host.home / "block").touch()
        process = host.start("deploy", "--app-name=web")
        (host.home / "fifo").read_text()
        process.kill()
        process.communicate(timeout=LIMIT)
        expected = "two" if step in ("restart", "health") else "one"
        self.assertEqual(host.runs(), expected)
        if step == "resolve":
            self.assertNotIn("interrupted", host.answer("status", "--app-name=web"))
            for left in scan_for(f"HOST={host.home}"):
                os.kill(left, signal.SIGKILL)
        else:
            told = host.answer("status", "--app-name=web")["interrupted"]
            self.assertEqual((told["action"], told["killed_at"]), ("deploy", step))
            self.assertTrue(scan_for(f"HOST={host.home}"), "the program was to outlive the deploy")
        answer = host.deploy()
        self.assertEqual((answer["outcome"], host.runs()), ("deployed", "two"))
        self.assertEqual(scan_for(f"HOST={host.home}"), [])
        entries = host.answer("history", "--app-name=web")["entries"]
        outcomes = ["deployed", "deployed"] if step == "resolve" else ["deployed", "failed", "deployed"]
        self.assertEqual([entry["outcome"] for entry in entries], outcomes)
        return answer

    def test_build(self):
        answer = self.kill_at("build", build=[["blocker"]])
        self.assertEqual(answer["recovered"]["rolled_back"], False)

    def test_migrate(self):
        self.kill_at("migrate", migrate=[["blocker"]])

    def test_restart(self):
        self.assertEqual(self.kill_at("restart")["recovered"]["rolled_back"], True)

    def test_health(self):
        answer = self.kill_at("health", health={"command": ["blocker"], "timeout": 600})
        self.assertEqual(answer["recovered"]["health"]["healthy"], True)

    def git(self, word):
        self.host.repository()
        real = next(p for p in os.environ["PATH"].split(":") if os.path.exists(p + "/git")) + "/git"
        block = f'case " $* " in *" {word} "*) {self.host.bin}/blocker;; esac; exec {real} "$@"\n'
        program(self.host.bin / "git", "#!/bin/sh\n" + block)

    def test_fetch(self):
        self.git("fetch")
        self.kill_at("fetch")

    def test_resolve(self):
        self.git("ls-remote")
        self.kill_at("resolve")

    def test_undo(self):
        """The deploy fails, and is killed while it goes back."""
        host = self.host
        host.write("one")
        program(host.bin / "systemctl", self.BLOCK.replace("[ !", '[ "$1" = show ] || grep -q two $HOST/web/current/version || [ !'))
        host.configure(units=["web.service"], health={"command": ["grep", "one", "version"], "retries": 0})
        host.deploy()
        host.write("two")
        os.mkfifo(host.home / "fifo")
        (host.home / "block").touch()
        process = host.start("deploy", "--app-name=web")
        (host.home / "fifo").read_text()
        process.kill()
        process.communicate(timeout=LIMIT)
        self.assertEqual(host.runs(), "one")
        self.assertEqual(host.answer("status", "--app-name=web")["interrupted"]["killed_at"], "undo")
        done = host.error("rollback", "--app-name=web")
        self.assertIn("no previous release", done["error"])
        self.assertEqual((host.runs(), len(host.releases())), ("one", 1))
        entry = host.answer("history", "--app-name=web")["entries"][0]
        self.assertEqual((entry["outcome"], entry["step"]), ("failed", "health"))
        self.assertEqual(json.loads(json.dumps(scan_for(f"HOST={host.home}"))), [])
