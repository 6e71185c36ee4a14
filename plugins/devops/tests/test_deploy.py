"""Deploys and rollbacks of a directory: what is switched to, what is taken back, what is kept."""

import json
import os
import socket
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

from .bench import OnHost, program, tree

UNIT = "web.service"


class Deploy(OnHost):
    def test_one_after_the_other(self):
        self.host.configure(units=[UNIT], keep=2)
        releases = []
        for version in ("one", "two", "three", "four"):
            self.host.write(version)
            answer = self.host.deploy()
            self.assertEqual(answer["outcome"], "deployed")
            self.assertEqual(answer["previous"], releases[-1] if releases else None)
            self.assertEqual(self.host.runs(), version)
            releases.append(answer["release"])
        self.assertEqual(answer["pruned"], [releases[1]])
        self.assertEqual(self.host.releases(), sorted(releases[2:]))
        self.assertEqual(self.host.asked(), [f"--no-ask-password restart -- {UNIT}"] * 4)
        self.assertEqual(os.readlink(self.host.root / "current"), f"releases/{releases[3]}")

    def test_the_same_revision_is_not_deployed_again(self):
        self.host.configure(units=[UNIT], health={"command": ["true"]})
        self.host.write("one")
        first = self.host.deploy()
        again = self.host.deploy()
        self.assertEqual((again["outcome"], again["release"]), ("unchanged", first["release"]))
        self.assertEqual(len(self.host.asked()), 1)
        # Built otherwise it is another release, and an unhealthy one is worth a new try.
        self.host.configure(build=[["true"]])
        self.assertEqual(self.host.deploy()["outcome"], "deployed")
        (self.host.home / "show").write_text("LoadState=loaded\nActiveState=failed\n")
        self.assertIn("web.service failed", self.host.error("deploy", "--app-name=web")["error"])

    def test_a_dry_run_touches_nothing(self):
        self.host.configure(units=[UNIT], build=[["touch", str(self.host.home / "touched")]], shared=["data/"])
        self.host.write("one")
        for already in (False, True):
            before = tree(self.host.home)
            plan = self.host.deploy("--dry-run")
            self.assertEqual(tree(self.host.home), before)
            self.assertEqual([step["step"] for step in plan["steps"]],
                             ["fetch", "shared", "build", "switch", "restart", "health", "finish"])
            self.host.deploy()
            self.host.write("two")
        self.host.deploy()
        self.assertEqual(self.host.deploy("--dry-run")["steps"], [])

    def test_hooks_run_in_the_release_with_its_facts(self):
        self.host.configure(
            build=[["sh", "-c", "cat version >built; echo $DEVOPS_APP $DEVOPS_ENVIRONMENT $COLOUR >>built"]],
            migrate=[["sh", "-c", "cat built >>$HOST/migrated"]],
            variables={"COLOUR": "red"}, environments={"staging": {"variables": {"COLOUR": "blue"}}},
        )
        self.host.write("one\n")
        self.host.deploy()
        self.host.deploy("--environment=staging")
        self.assertEqual((self.host.home / "migrated").read_text(), "one\nweb red\none\nweb staging blue\n")
        self.assertEqual(self.host.answer("status", "--app-name=web")["environment"], "staging")

    def test_a_failing_hook_changes_nothing(self):
        self.host.configure(units=[UNIT])
        self.host.write("one")
        self.host.deploy()
        before = self.host.releases()
        self.host.write("two")
        for hook, text in (
            ({"build": [["sh", "-c", "echo no compiler; exit 3"]]}, "ended with 3; it said: no compiler"),
            ({"build": [], "migrate": [["/nonexistent/x"]]}, "cannot start `/nonexistent/x`"),
            ({"migrate": [["sleep", "60"]], "migrate_timeout": 0.3}, "took longer than 0.3 s"),
            ({"migrate": [["sh", "-c", "kill -9 $$"]]}, "killed by signal 9"),
        ):
            self.host.configure(**hook)
            answer = self.host.error("deploy", "--app-name=web")
            self.assertIn(text, answer["error"])
            self.assertEqual((answer["step"], answer["rolled_back"]), ("build" if hook.get("build") else "migrate", False))
            self.assertEqual((self.host.runs(), self.host.releases()), ("one", before))
        self.assertEqual(len(self.host.asked()), 1)
        entries = self.host.answer("history", "--app-name=web")["entries"]
        self.assertEqual([entry["outcome"] for entry in entries], ["failed"] * 4 + ["deployed"])

    def test_shared_files_outlive_releases(self):
        self.host.configure(shared=["config.ini", "data/"])
        self.host.write("one")
        self.assertIn("the shared `config.ini` is not there", self.host.error("deploy", "--app-name=web")["error"])
        self.host.write("one", **{"config.ini": "first"})
        self.host.deploy()
        (self.host.root / "current/data/kept").write_text("x")
        self.host.write("two", **{"config.ini": "second"})
        self.host.deploy()
        self.assertEqual((self.host.root / "current/config.ini").read_text(), "first")
        self.assertEqual((self.host.root / "current/data/kept").read_text(), "x")

    def test_a_unit_that_cannot_be_restarted_is_taken_back(self):
        self.host.configure(units=[UNIT])
        self.host.write("one")
        self.host.deploy()
        self.host.write("two")
        (self.host.home / "systemctl-fails").touch()
        answer = self.host.error("deploy", "--app-name=web")
        self.assertIn("cannot restart web.service", answer["error"])
        self.assertIn("no such unit", answer["problem"])
        self.assertEqual(self.host.runs(), "one")

    def test_a_unit_that_was_started_too_often_is_started_all_the_same(self):
        self.host.configure(units=[UNIT])
        self.host.write("one")
        (self.host.home / "too-often").touch()
        self.assertEqual(self.host.deploy()["outcome"], "deployed")
        restart, reset = f"--no-ask-password restart -- {UNIT}", f"--no-ask-password reset-failed -- {UNIT}"
        self.assertEqual(self.host.asked(), [restart, reset, restart])

    def test_a_first_release_that_fails_leaves_none(self):
        self.host.configure(units=[UNIT], health={"command": ["false"], "retries": 0})
        self.host.write("one")
        answer = self.host.error("deploy", "--app-name=web")
        self.assertEqual((answer["step"], answer["runs"], answer["rolled_back"]), ("health", None, True))
        self.assertFalse(os.path.lexists(self.host.root / "current"))
        self.assertEqual(self.host.asked()[-1], f"--no-ask-password stop -- {UNIT}")
        self.assertEqual(self.host.answer("status", "--app-name=web")["state"], "not deployed")

    def test_names_that_could_do_harm(self):
        self.host.configure()
        self.host.write("one")
        for version in ("-x", "../x", "a..b", "--", "a b"):
            for command in ("deploy", "rollback"):
                self.assertIn("is not a version", self.host.error(command, "--app-name=web", f"--version={version}")["error"])
        self.assertIn("no app is called `../x`", self.host.error("deploy", "--app-name=../x")["error"])
        self.assertFalse(self.host.root.exists())

    def test_asked_to_end_it_takes_back_what_it_did(self):
        self.host.write("one")
        self.host.configure()
        self.host.deploy()
        self.host.write("two")
        fifo = self.host.home / "fifo"
        os.mkfifo(fifo)
        check = program(self.host.bin / "check", "#!/bin/sh\ngrep -q one version || { echo >$HOST/fifo; sleep 600; }\n")
        self.host.configure(health={"command": [check], "timeout": 600})
        process = self.host.start("deploy", "--app-name=web")
        fifo.read_text()
        process.terminate()
        stdout, _ = process.communicate(timeout=60)
        self.assertIn("asked to end (SIGTERM); it was taken back", json.loads(stdout)["error"])
        self.assertEqual((process.returncode, self.host.runs(), len(self.host.releases())), (1, "one", 1))

    def test_a_second_deploy_is_refused_and_told_who(self):
        self.host.write("one")
        fifo = self.host.home / "fifo"
        os.mkfifo(fifo)
        self.host.configure(build=[["sh", "-c", "echo >$HOST/fifo; read x <$HOST/fifo"]])
        process = self.host.start("deploy", "--app-name=web", SMCP_CALLER="alice", SMCP_CALL_ID="c7")
        fifo.read_text()
        for command in ("deploy", "rollback"):
            error = self.host.error(command, "--app-name=web")["error"]
            self.assertIn(f"`web` is busy: a deploy of alice (process {process.pid}, call c7) since", error)
        status = self.host.answer("status", "--app-name=web")
        self.assertIn("at build", status["busy"])
        self.assertNotIn("interrupted", status)
        self.assertIn("busy", self.host.deploy("--dry-run")["note"])
        fifo.write_text("\n")
        process.communicate(timeout=60)
        self.assertEqual((process.returncode, self.host.runs()), (0, "one"))


class Health(OnHost):
    def broken_then_back(self, health, text, breaks):
        """Deploys one that is well, then one that `breaks`, which has to be taken back."""
        self.host.configure(units=[UNIT], health={"retries": 1, "interval": 0.05, **health})
        self.host.write("one")
        self.assertEqual(self.host.deploy()["health"]["healthy"], True)
        first = self.host.releases()
        self.host.write("two")
        breaks()
        answer = self.host.error("deploy", "--app-name=web")
        self.assertIn(text, answer["error"])
        self.assertEqual((answer["step"], answer["rolled_back"], answer["runs"]), ("health", True, first[0]))
        self.assertEqual((self.host.runs(), self.host.releases()), ("one", first))
        self.assertEqual(len(self.host.asked()), 3)
        return answer

    def test_http(self):
        host = self.host

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if host.runs() == "one" else 500)
                self.end_headers()

            def log_message(self, *_):
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                address = f"http://127.0.0.1:{server.server_port}/"
                answer = self.broken_then_back({"http": address}, "answers 500", lambda: None)
            finally:
                server.shutdown()
                thread.join()
        self.assertTrue(answer["health"]["healthy"])

    def test_tcp(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            answer = self.broken_then_back({"tcp": f"127.0.0.1:{port}"}, "refused", server.close)
        self.assertIn("not healthy either", answer["error"])

    def test_command(self):
        self.broken_then_back({"command": ["grep", "one", "version"]}, "ended with 1", lambda: None)

    def test_a_check_that_hangs(self):
        command = ["sh", "-c", "grep one version || sleep 60"]
        self.broken_then_back({"command": command, "timeout": 0.5}, "took longer than 0.5 s", lambda: None)

    def test_a_unit_that_ends_is_unhealthy_without_any_check(self):
        self.host.configure(units=[UNIT])
        self.host.write("one")
        (self.host.home / "show").write_text("ActiveState=activating\nSubState=auto-restart\n")
        self.assertIn("waits to be started again", self.host.error("deploy", "--app-name=web")["error"])


class Rollback(OnHost):
    def setUp(self):
        super().setUp()
        self.host.configure(units=[UNIT])
        self.ids = {}
        for version in ("one", "two", "three"):
            self.host.write(version)
            self.ids[version] = self.host.deploy()["release"]

    def back(self, *argv):
        return self.host.answer("rollback", "--app-name=web", *argv)

    def test_to_the_previous_and_further(self):
        for version in ("two", "one"):
            self.assertEqual((self.back()["outcome"], self.host.runs()), ("rolled back", version))
        self.assertIn("no previous release", self.host.error("rollback", "--app-name=web")["error"])
        self.assertEqual(len(self.host.asked()), 5)

    def test_past_a_release_that_was_rolled_back(self):
        self.back()
        self.host.write("four")
        self.host.deploy()
        self.assertEqual((self.back()["release"], self.host.runs()), (self.ids["two"], "two"))

    def test_to_a_named_one(self):
        self.back("--version", self.ids["one"])
        self.assertEqual(self.host.runs(), "one")
        revision = self.host.answer("history", "--app-name=web", "--limit=2")["entries"][1]["revision"]
        self.back("--version", revision[:8])
        self.assertEqual(self.host.runs(), "three")
        self.assertEqual(self.back("--version", self.ids["three"])["outcome"], "unchanged")
        self.assertIn("keeps no release `nine`; kept are", self.host.error("rollback", "--app-name=web", "--version=nine")["error"])

    def test_to_one_that_is_not_well_changes_nothing(self):
        self.host.configure(health={"command": ["grep", "three", "version"], "retries": 0})
        answer = self.host.error("rollback", "--app-name=web")
        self.assertEqual((answer["runs"], answer["health"]["healthy"]), (self.ids["three"], True))
        self.assertEqual((self.host.runs(), len(self.host.releases())), ("three", 3))


if __name__ == "__main__":
    unittest.main()
