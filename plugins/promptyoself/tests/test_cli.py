import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from contextlib import closing
from pathlib import Path

from tests import PLUGIN
from tests.fake_letta import AGENT, KEY, FakeLetta, hold, status

HOUR = "2099-01-01T09:00:00"


class Cli(unittest.TestCase):
    """The program as the daemon runs it, with a fake Letta."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.state = Path(directory.name)
        self.fake = FakeLetta()
        self.fake.__enter__()
        self.addCleanup(self.fake.__exit__)
        self.environment = {"PATH": os.environ["PATH"], "SMCP_STATE_DIR": str(self.state), **self.fake.environment()}

    def tearDown(self):
        self.assertEqual(self.fake.wrong, [])

    def start(self, *arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, str(PLUGIN / "cli.py"), *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)

    def run_it(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def ok(self, *arguments, **environment):
        code, out, err = self.run_it(*arguments, **environment)
        self.assertEqual(code, 0, out + err)
        self.assertNotIn(KEY, out + err)
        return json.loads(out)

    def refused(self, *arguments, **environment):
        code, out, err = self.run_it(*arguments, **environment)
        self.assertEqual((code, err), (1, ""), out + err)
        self.assertNotIn(KEY, out)
        return json.loads(out)["error"]

    def register(self, *arguments):
        return self.ok("register", f"--agent-id={AGENT}", "--prompt=hi", "--skip-validation", *arguments)

    def change(self, statement, *values):
        """Turns the time of the database, which the program reads by the real clock."""
        with closing(sqlite3.connect(str(self.state / "promptyoself.sqlite3"))) as database, database:
            database.execute(statement, values)

    def overdue(self):
        self.change("UPDATE schedules SET next_due = ? WHERE status = 'active'", int(time.time()) - 5)


class Commands(Cli):
    def test_a_schedule_from_register_to_history(self):
        made = self.ok("register", f"--agent-id={AGENT}", "--prompt=Read the mail", "--every=15m", "--max-repetitions=2",
                       "--end-at=2099-01-01", "--timezone=UTC")  # fmt: skip
        self.assertEqual(
            {name: made[name] for name in ("id", "agent_id", "prompt", "status", "every", "repetitions", "max_repetitions")},
            {"id": 1, "agent_id": AGENT, "prompt": "Read the mail", "status": "active", "every": "15m", "repetitions": 0,
             "max_repetitions": 2},
        )  # fmt: skip
        self.assertEqual(self.ok("list")["schedules"], [made])
        self.assertEqual(self.ok("list", "--agent-id=agent-2"), {"schedules": []})
        self.assertEqual(self.ok("execute")["delivered"], 0)
        self.overdue()
        code, out, err = self.run_it("execute")
        self.assertEqual((code, json.loads(out)), (0, {"delivered": 1, "retried": 0, "dead": 0, "open": 0, "problems": []}))
        self.assertEqual(json.loads(err), {"progress": 1, "message": "schedule 1: delivered"})
        self.assertEqual([m["content"] for m in self.fake.messages], ["Read the mail"])
        delivery = self.ok("history", "--id=1", "--limit=5")["deliveries"][0]
        self.assertEqual((delivery["state"], delivery["attempts"]), ("delivered", 1))
        self.assertEqual(self.ok("show", "--id=1")["deliveries"], [delivery])
        self.assertEqual((self.ok("cancel", "--id=1")["changed"], self.ok("cancel", "--id=1")["changed"]), (True, False))
        self.assertEqual(self.ok("list"), {"schedules": []})
        self.assertEqual(self.ok("list", "--all")["schedules"][0]["status"], "cancelled")

    def test_the_agent_is_the_given_the_calling_or_the_configured_one(self):
        names = {"SMCP_AGENT_ID": "calling", "LETTA_AGENT_ID": "configured"}
        for given, environment, expected in (
            (["--agent-id=given"], names, "given"),
            ([], names, "calling"),
            ([], {**names, "SMCP_AGENT_ID": ""}, "configured"),
        ):
            made = self.ok("register", "--prompt=x", f"--time={HOUR}", "--skip-validation", *given, **environment)
            self.assertEqual(made["agent_id"], expected)
        self.assertIn("no agent is named", self.refused("register", "--prompt=x", f"--time={HOUR}", "--skip-validation"))

    def test_register_asks_whether_the_agent_exists(self):
        self.ok("register", f"--agent-id={AGENT}", "--prompt=x", "--every=1h")
        arguments = ("register", "--agent-id=agent-9", "--prompt=x", "--every=1h")
        self.assertIn("Letta has no agent `agent-9`", self.refused(*arguments))
        self.assertIn("--skip-validation", self.refused(*arguments, LETTA_BASE_URL="http://127.0.0.1:1"))
        self.assertIn("LETTA_API_KEY", self.refused(*arguments, LETTA_API_KEY="wrong"))
        self.assertEqual(len(self.ok("list")["schedules"]), 1)

    def test_what_makes_no_sense_is_refused_with_the_way_out(self):
        for arguments, said in (
            (["--prompt= ", "--every=1h"], "--prompt has 1 characters"),
            (["--prompt=x", "--every=soon"], "is no interval"),
            (["--prompt=x", "--time=2001-01-01"], "is past"),
            (["--prompt=x", "--time=soon"], "is no time"),
            (["--prompt=x", f"--time={HOUR}", "--end-at=2100-01-01"], "leave them out with --time"),
            (["--prompt=x", "--every=1h", "--end-at=2001-01-01"], "it would never be due"),
            (["--prompt=x", "--every=1h", "--start-at=2099-01-02", "--end-at=2099-01-01"], "it would never be due"),
            (["--prompt=x", "--every=1h", "--timezone=Mars/Olympus"], "no time zone is called `Mars/Olympus`"),
            (["--prompt=x", "--every=1h", "--max-repetitions=0"], "--max-repetitions is 0: give a number from 1"),
            (["--prompt=x", "--every=1h", "--agent-id=../tools"], "no agent's id"),
            (["--prompt=x", "--every=1h", "--agent-id=a/b?c"], "no agent's id"),
        ):
            with self.subTest(arguments):
                error = self.refused("register", f"--agent-id={AGENT}", "--skip-validation", *arguments)
                self.assertIn(said, error)
        for arguments in (["--prompt=x"], ["--prompt=x", "--every=1h", "--cron=* * * * *"], ["--every=1h"]):
            code, out, err = self.run_it("register", *arguments)
            self.assertEqual((code, out), (2, ""))
            self.assertIn("usage:", err)
        for command in ("show", "cancel", "history"):
            self.assertIn("there is no schedule 7", self.refused(command, "--id=7"))
            self.assertIn("--id is 0", self.refused(command, "--id=0"))
            self.assertIn("--id is 99999999999999999999", self.refused(command, "--id=99999999999999999999"))
        self.assertIn("SMCP_STATE_DIR is not set", self.refused("list", SMCP_STATE_DIR=""))
        self.assertIn("cannot open", self.refused("list", SMCP_STATE_DIR="/dev/null"))

    def test_hard_prompts_arrive_whole(self):
        for prompt in ("--", "-5", "--help", "'; DROP TABLE schedules; --", "zwei\nZeilen \U0001f600", '{"a": 1}'):
            self.ok("register", f"--agent-id={AGENT}", f"--prompt={prompt}", f"--time={HOUR}", "--skip-validation")
            self.assertEqual(self.ok("list")["schedules"][-1]["prompt"], prompt)

    def test_letta_is_tested_and_its_agents_are_listed(self):
        answer = self.ok("test")
        self.assertEqual((answer["reachable"], answer["version"], answer["authorized"]), (True, "0.16.0", True))
        self.assertIn("answered 401: Unauthorized", self.refused("test", LETTA_API_KEY="wrong"))
        self.assertIn("cannot reach Letta", self.refused("test", LETTA_BASE_URL="http://127.0.0.1:1"))
        self.assertIn("grant promptyoself LETTA_BASE_URL", self.refused("test", LETTA_BASE_URL=""))
        self.assertEqual(self.ok("agents")["agents"][0], {"id": AGENT, "name": "ada"})
        self.fake.agents = [{"id": f"agent-{n}", "name": None} for n in range(250)]
        self.assertEqual(len(self.ok("agents")["agents"]), 250)
        self.assertEqual(sum("after=" in request for request in self.fake.requests), 2)

    def test_a_tool_is_uploaded_under_its_functions_name(self):
        source = 'def roll() -> int:\n    """Roll a die."""\n    return 4\n'
        self.assertEqual(self.ok("upload", f"--source-code={source}", "--name=roll"), {"id": "tool-1", "name": "roll"})
        self.assertEqual(self.fake.tools, [{"source_code": source, "source_type": "python"}])
        self.ok("upload", f"--source-code={source}", "--description=Rolls")
        self.assertEqual(self.fake.tools[-1]["description"], "Rolls")
        self.assertIn("called `roll`, not `throw`", self.refused("upload", f"--source-code={source}", "--name=throw"))
        self.assertIn("is no Python", self.refused("upload", "--source-code=def"))
        self.assertIn("has no function", self.refused("upload", "--source-code=x = 1"))

    def test_it_describes_itself_without_its_requirements(self):
        code, out, err = self.run_it("--describe")
        described = json.loads(out)
        self.assertEqual((code, err), (0, ""))
        secrets = [variable["name"] for variable in described["plugin"]["env"] if variable.get("secret")]
        self.assertEqual(secrets, ["LETTA_API_KEY", "LETTA_SERVER_PASSWORD"])
        for command in described["commands"]:
            code, out, err = self.run_it(command["name"], "--help")
            self.assertEqual(code, 0)
            for parameter in command["parameters"]:
                self.assertIn("--" + parameter["name"], out)


class Execute(Cli):
    def test_killed_between_send_and_record_it_delivers_once(self):
        for arrived in (True, False):
            with self.subTest(arrived=arrived):
                self.fake.messages.clear()
                self.fake.posts = 0
                reached, release = threading.Event(), threading.Event()
                self.addCleanup(release.set)
                self.fake.faults = [hold(reached, release, keep=arrived)]
                self.register("--every=1h", "--max-repetitions=1")
                self.overdue()
                process = self.start("execute")
                self.assertTrue(reached.wait(30))
                os.kill(process.pid, signal.SIGKILL)
                self.assertEqual(process.wait(30), -signal.SIGKILL)
                # While the claim holds nobody else sends.
                self.assertEqual(self.ok("execute"), {"delivered": 0, "retried": 0, "dead": 0, "open": 1, "problems": []})
                self.change("UPDATE deliveries SET claimed_until = 0 WHERE state = 'sending'")
                self.assertEqual(self.ok("execute")["delivered"], 1)
                self.assertEqual(self.ok("execute")["delivered"], 0)
                self.assertEqual((len(self.fake.messages), self.fake.posts), (1, 1 if arrived else 2))

    def test_executes_at_once_deliver_each_once(self):
        for _ in range(8):
            self.register("--every=1h")
        self.overdue()
        processes = [self.start("execute") for _ in range(5)]
        answers = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
        self.assertEqual(sum(answer["delivered"] for answer in answers), 8)
        self.assertEqual((self.fake.posts, len({m["otid"] for m in self.fake.messages})), (8, 8))

    def test_first_calls_at_once_make_one_database(self):
        processes = [self.start("register", f"--agent-id={AGENT}", "--prompt=x", "--every=1h", "--skip-validation") for _ in range(8)]
        ids = sorted(json.loads(process.communicate(timeout=60)[0])["id"] for process in processes)
        self.assertEqual(ids, list(range(1, 9)))

    def test_a_fault_is_visible_in_history(self):
        self.register("--every=1h")
        self.overdue()
        self.fake.faults = [status(429), status(422)]
        self.assertEqual(self.ok("execute")["retried"], 1)
        row = self.ok("history")["deliveries"][0]
        self.assertEqual((row["state"], row["attempts"]), ("retrying", 1))
        self.assertIn("answered 429", row["error"])
        self.change("UPDATE deliveries SET try_at = 0")
        self.assertEqual(self.ok("execute")["dead"], 1)
        self.assertEqual(self.ok("history")["deliveries"][0]["state"], "dead")

    def test_it_loops_by_hand_and_ends_when_asked(self):
        self.register("--every=1h")
        self.overdue()
        reached, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)
        self.fake.faults = [hold(reached, release, keep=True)]
        process = self.start("execute", "--loop", "--interval=3600")
        self.assertTrue(reached.wait(30))
        process.send_signal(signal.SIGTERM)
        release.set()
        out, _ = process.communicate(timeout=30)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((process.returncode, lines[0]["delivered"], lines[-1]), (0, 1, {"rounds": 1}))

    def test_a_call_does_not_loop(self):
        self.assertIn("smcp-promptyoself.timer", self.refused("execute", "--loop", SMCP_CALL_ID="1"))
        self.assertEqual(self.ok("execute", SMCP_CALL_ID="1")["delivered"], 0)

    def test_without_a_letta_nothing_is_lost(self):
        self.register("--every=1h")
        self.overdue()
        self.assertIn("LETTA_BASE_URL", self.refused("execute", LETTA_BASE_URL=""))
        self.assertEqual(self.ok("history"), {"deliveries": []})
        self.assertEqual(self.ok("execute")["delivered"], 1)
