import contextlib
import socket
import sqlite3
import tempfile
import threading
import unittest
from contextlib import closing
from pathlib import Path
from unittest import mock

import deliver
import letta
import store
from errors import Refused
from tests import fake_letta
from tests.fake_letta import AGENT, FakeLetta, cut, hold, status

T0 = 1_900_000_000


class Rig(unittest.TestCase):
    """A fake Letta, a fresh database, and a clock that stands until told."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.fake = FakeLetta()
        self.fake.__enter__()
        self.addCleanup(self.fake.__exit__)
        self.store = self.open()
        self.letta = letta.Letta(self.fake.environment())
        self.now = T0

    def tearDown(self):
        self.assertEqual(self.fake.wrong, [])

    def open(self):
        opened = store.Store(self.directory)
        self.addCleanup(opened.close)
        return opened

    def add(self, due=T0, kind="every", rule="60", **more):
        return self.store.add(
            {"agent_id": AGENT, "prompt": "héllo \U0001f600", "kind": kind, "rule": rule, "timezone": "UTC",
             "next_due": due, "created_at": T0 - 1000, **more}
        )  # fmt: skip

    def round(self, later=0, **more):
        self.now += later
        return deliver.deliver(self.store, self.letta, lambda: self.now, lambda *_: None, **more)

    def sent(self):
        return [message["content"] for message in self.fake.messages]

    def states(self):
        return [row["state"] for row in self.store.history()]


class Rounds(Rig):
    def test_what_is_due_is_delivered_once(self):
        self.add()
        self.add(due=T0 + 1)
        self.assertEqual(self.round(), {"delivered": 1, "retried": 0, "dead": 0})
        self.assertEqual(self.sent(), ["héllo \U0001f600"])
        self.assertEqual(self.round()["delivered"], 0)
        self.assertEqual(self.round(later=60)["delivered"], 2)
        self.assertEqual(len({message["otid"] for message in self.fake.messages}), 3)

    def test_what_was_missed_runs_once(self):
        id = self.add()
        self.assertEqual(self.round(later=86400 + 7)["delivered"], 1)
        self.assertEqual(self.store.schedule(id)["next_due"], T0 + 86400 + 60)
        self.assertEqual(self.store.schedule(id)["repetitions"], 1)

    def test_repetitions_and_the_end_close_a_schedule(self):
        for more, rounds in (({"max_repetitions": 2}, 2), ({"end_at": T0 + 120}, 3), ({"kind": "once", "rule": str(T0)}, 1)):
            with self.subTest(more):
                self.now = T0
                id = self.add(**more)
                self.fake.messages.clear()
                for _ in range(5):
                    self.round()
                    self.now += 60
                self.assertEqual(len(self.fake.messages), rounds)
                self.assertEqual((self.store.schedule(id)["status"], self.store.schedule(id)["next_due"]), ("done", None))

    def test_a_cancelled_schedule_sends_nothing_more(self):
        id = self.add()
        self.fake.faults = [status(429)]
        self.assertEqual(self.round()["retried"], 1)
        self.assertEqual(self.store.cancel(id, T0), (True, 1))
        self.assertEqual(self.store.cancel(id, T0), (False, 0))
        self.assertEqual(sum(self.round(later=86400).values()), 0)
        self.assertEqual(self.states(), ["cancelled"])

    def test_cancelled_while_it_is_sent_is_not_tried_again(self):
        id = self.add()
        self.store.enqueue(T0)
        taken = self.store.claim(T0, T0 + 100)
        self.store.cancel(id, T0)
        self.store.settle(taken, "waiting", T0, "fault", T0 + 30)
        self.assertEqual(self.states(), ["cancelled"])

    def test_a_round_begins_nothing_once_its_time_is_over(self):
        for _ in range(3):
            self.add()
        answers = iter([True, True, False])
        self.assertEqual(self.round(go_on=lambda: next(answers))["delivered"], 2)
        self.assertEqual(self.round()["delivered"], 1)

    def test_a_schedule_without_a_next_time_says_why_and_waits(self):
        id = self.add(kind="cron", rule="0 9 * * *")
        self.add()
        with mock.patch.object(store.when, "cron", side_effect=Refused("no croniter")):
            self.assertEqual(self.round()["delivered"], 1)
        self.assertEqual([tuple(row) for row in self.store.problems()], [(id, "no croniter")])
        with mock.patch.object(store.when, "cron", return_value=lambda local: local.replace(year=local.year + 1)):
            self.assertEqual(self.round()["delivered"], 1)
        self.assertEqual(self.store.problems(), [])

    def test_old_deliveries_are_forgotten_and_open_ones_kept(self):
        self.add(kind="once", rule="1")
        self.round()
        self.fake.faults = [status(429)]
        self.add(kind="once", rule="1")
        self.round()
        self.store.enqueue(T0 + store.KEPT + 1)
        self.assertEqual(self.states(), ["waiting"])


class Faults(Rig):
    # The fault of the first try, whether the message arrived by it, seconds until the next try
    FAULTS = [
        ("500", status(500), False, 300),
        ("500 after all", status(500, keep=True), True, 300),
        ("502 in HTML", status(502, b"<html>bad gateway</html>"), False, 300),
        ("503 with Retry-After", status(503, headers=[("Retry-After", "700")]), False, 700),
        ("429", status(429), False, 30),
        ("429 with Retry-After", status(429, headers=[("Retry-After", "90")]), False, 90),
        ("429 with a shorter one", status(429, headers=[("Retry-After", "1")]), False, 30),
        ("429 with nonsense", status(429, headers=[("Retry-After", "soon")]), False, 30),
        ("429 for years", status(429, headers=[("Retry-After", "999999999")]), False, 86400),
        ("cut off", cut(keep=False), False, 300),
        ("cut off after all", cut(keep=True), True, 300),
        ("no JSON", status(200, b"<html>", keep=True), True, 300),
    ]

    def test_each_fault_ends_in_one_delivery(self):
        for name, fault, arrived, wait in self.FAULTS:
            with self.subTest(name):
                self.fake.messages.clear()
                self.fake.posts = 0
                self.fake.faults = [fault]
                self.add(due=self.now, kind="once", rule="1")
                self.assertEqual(self.round(), {"delivered": 0, "retried": 1, "dead": 0})
                self.assertEqual(sum(self.round(later=wait - 1).values()), 0)
                self.assertEqual(self.round(later=1)["delivered"], 1)
                self.assertEqual((len(self.fake.messages), self.fake.posts), (1, 1 if arrived else 2))

    def test_a_date_in_retry_after_is_measured_by_the_servers_clock(self):
        headers = {"Retry-After": "Wed, 21 Oct 2015 07:30:00 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}
        self.assertEqual(letta._wait(headers), 120)
        self.assertIsNone(letta._wait({"Retry-After": "Wed, 21 Oct 2015 07:30:00 GMT", "Date": None}))

    def test_a_timeout_is_followed_by_a_look_whether_it_arrived(self):
        for arrived in (True, False):
            reached, release = threading.Event(), threading.Event()
            self.addCleanup(release.set)
            self.letta.timeout = 0.2
            self.fake.messages.clear()
            self.fake.posts = 0
            self.fake.faults = [hold(reached, release, keep=arrived)]
            self.add(due=self.now, kind="once", rule="1")
            self.assertEqual(self.round()["retried"], 1)
            self.assertTrue(reached.wait(10))
            self.letta.timeout = 30
            self.assertEqual(self.round(later=300)["delivered"], 1)
            self.assertEqual((len(self.fake.messages), self.fake.posts), (1, 1 if arrived else 2))

    def test_a_connection_that_is_never_made_names_the_sandbox(self):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
            # Whoever comes next is not answered at all, as where packets are dropped.
            for _ in range(3):
                client = waiting.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(full.getsockname())
            self.letta.base = "http://127.0.0.1:{}".format(full.getsockname()[1])
            self.letta.timeout = 0.3
            with self.assertRaises(letta.Failure) as failure:
                self.letta.version()
        self.assertRegex(str(failure.exception), "cannot reach Letta at .*: no connection in time; check .* network.conf")
        self.assertTrue(failure.exception.again)

    def test_an_answer_that_trickles_has_an_end(self):
        release = threading.Event()
        self.addCleanup(release.set)
        self.letta.timeout = 0.3
        self.fake.faults = [fake_letta.trickle(release)]
        self.add()
        self.assertEqual(self.round()["retried"], 1)
        self.assertIn("did not answer in time", self.store.history()[0]["error"])

    def test_a_refusal_is_dead_at_once_and_redirects_are_not_followed(self):
        for code in (400, 401, 403, 404, 409, 422, 301, 307):
            with self.subTest(code):
                self.fake.faults = [status(code, headers=[("Location", "http://127.0.0.1:1/")])]
                self.add(due=self.now, kind="once", rule="1")
                self.assertEqual(self.round()["dead"], 1)
                self.assertIn(f"answered {code}", self.store.history()[0]["error"])
        self.assertEqual(self.fake.messages, [])

    def test_tries_come_to_an_end_and_the_dead_letter_says_why(self):
        self.fake.faults = [status(429)] * 20
        self.add(kind="once", rule="1")
        waits = []
        while self.store.open_deliveries() or not self.states():
            self.round()
            row = self.store.history()[0]
            waits.append(row["try_at"] - self.now)
            self.now = max(row["try_at"], self.now)
        self.assertEqual(waits[:-1], [30, 60, 120, 240, 480, 960, 1920])
        self.assertEqual((row["state"], row["attempts"], self.fake.posts), ("dead", 8, 8))
        self.assertIn("answered 429: fault 429", row["error"])
        self.assertEqual(sum(self.round(later=86400).values()), 0)

    def test_a_last_try_that_arrived_after_all_is_no_dead_letter(self):
        self.fake.faults = [status(429)] * 7 + [cut(keep=True)]
        self.add(kind="once", rule="1")
        for _ in range(8):
            self.round(later=4000)
        self.assertEqual((self.round(later=4000)["delivered"], self.fake.posts), (1, 8))

    def test_a_last_try_that_did_not_arrive_is_one(self):
        self.fake.faults = [status(500)] * 20
        self.add(kind="once", rule="1")
        for _ in range(12):
            self.round(later=4000)
        row = self.store.history()[0]
        self.assertEqual((row["state"], self.fake.posts, row["doubtful"]), ("dead", 8, 1))
        self.assertIn("answered 500", row["error"])

    def test_nothing_listens(self):
        self.letta.base = "http://127.0.0.1:1"
        self.add()
        self.assertEqual(self.round()["retried"], 1)
        row = self.store.history()[0]
        self.assertEqual((row["doubtful"], row["try_at"]), (0, self.now + 30))
        self.assertIn("check LETTA_BASE_URL", row["error"])


class Claims(Rig):
    def test_a_claim_is_taken_over_only_when_it_has_run_out(self):
        self.add()
        self.store.enqueue(T0)
        first = self.store.claim(T0, T0 + 100)
        other = self.open()
        self.assertIsNone(other.claim(T0 + 99, T0 + 200))
        second = other.claim(T0 + 100, T0 + 200)
        self.assertEqual((second["id"], second["doubtful"], second["attempts"]), (first["id"], True, 2))
        # The first one was only slow: it has no say any more.
        self.store.settle(first, "dead", T0, "late")
        self.assertEqual(self.states(), ["sending"])
        other.settle(second, "delivered", T0)
        self.assertEqual(self.states(), ["delivered"])

    def test_rounds_at_once_deliver_each_once(self):
        for _ in range(20):
            self.add(kind="once", rule="1")
        totals, failures = [], []
        start = threading.Barrier(6)

        def work():
            try:
                own = store.Store(self.directory)
                start.wait(30)
                totals.append(deliver.deliver(own, self.letta, lambda: T0, lambda *_: None)["delivered"])
                own.close()
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual((failures, sum(totals)), ([], 20))
        self.assertEqual((self.fake.posts, len({m["otid"] for m in self.fake.messages})), (20, 20))

    def test_a_message_killed_each_time_is_dead_in_the_end(self):
        self.add(kind="once", rule="1")
        self.store.enqueue(T0)
        for turn in range(deliver.ATTEMPTS):
            self.assertIsNotNone(self.store.claim(T0 + turn * 100, T0 + turn * 100 + 100))
        self.assertEqual(self.round(later=10000)["dead"], 1)
        self.assertEqual((self.fake.posts, self.store.history()[0]["error"]), (0, "each try was interrupted"))


class Schema(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name)

    def test_a_fresh_one_is_private_and_of_this_version(self):
        opened = store.Store(self.path)
        opened.close()
        self.assertEqual(opened.path.stat().st_mode & 0o777, 0o600)
        again = store.Store(self.path)
        again.close()
        self.assertEqual(opened.install, again.install)

    def test_a_migration_runs_once_and_keeps_what_there_is(self):
        old = store.Store(self.path)
        id = old.add({"agent_id": "a", "prompt": "p", "kind": "once", "rule": "1", "timezone": "UTC", "created_at": 1})
        old.close()
        more = [*store.MIGRATIONS, "ALTER TABLE schedules ADD COLUMN note TEXT;\nUPDATE schedules SET note = 'moved';"]
        with mock.patch.object(store, "MIGRATIONS", more):
            for _ in range(2):
                new = store.Store(self.path)
                self.assertEqual((new.schedule(id)["note"], new.schedule(id)["prompt"]), ("moved", "p"))
                new.close()
        # And the way back is refused, with the file untouched.
        with self.assertRaisesRegex(Refused, "newer promptyoself \\(schema 2, this one knows 1\\)"):
            store.Store(self.path)

    def test_a_migration_that_fails_changes_nothing(self):
        store.Store(self.path).close()
        broken = [*store.MIGRATIONS, "ALTER TABLE schedules ADD COLUMN note TEXT;\nSELECT nonsense;"]
        with mock.patch.object(store, "MIGRATIONS", broken), self.assertRaises(Refused):
            store.Store(self.path)
        with closing(sqlite3.connect(str(self.path / "promptyoself.sqlite3"))) as database:
            self.assertEqual(database.execute("PRAGMA user_version").fetchone()[0], 1)
            columns = [column[1] for column in database.execute("PRAGMA table_info(schedules)")]
        self.assertNotIn("note", columns)

    def test_a_file_that_is_no_database_is_named(self):
        (self.path / "promptyoself.sqlite3").write_bytes(b"no database at all" * 100)
        with self.assertRaisesRegex(Refused, "cannot open"):
            store.Store(self.path)
        with self.assertRaisesRegex(Refused, "cannot open"):
            store.Store(self.path / "missing")


class Settings(unittest.TestCase):
    def test_settings_that_cannot_work_are_refused(self):
        for environment in (
            {},
            {"LETTA_BASE_URL": "letta.example"},
            {"LETTA_BASE_URL": "file:///etc/passwd"},
            {"LETTA_BASE_URL": "http://user:word@host"},
            {"LETTA_BASE_URL": "http://host:port"},
            {"LETTA_BASE_URL": "http://[::1"},
            {"LETTA_BASE_URL": "http://a b"},
            {"LETTA_BASE_URL": "http://h/?x=1"},
            {"LETTA_BASE_URL": "http://h", "LETTA_API_KEY": "a\nb"},
            {"LETTA_BASE_URL": "http://h", "LETTA_API_KEY": "schlüssel"},
            {"LETTA_BASE_URL": "http://h", "PROMPTYOSELF_TIMEOUT": "soon"},
            {"LETTA_BASE_URL": "http://h", "PROMPTYOSELF_TIMEOUT": "nan"},
            {"LETTA_BASE_URL": "http://h", "PROMPTYOSELF_TIMEOUT": "0"},
        ):
            with self.subTest(environment), self.assertRaises(Refused) as refused:
                letta.Letta(environment)
            self.assertNotIn("schlüssel", str(refused.exception))

    def test_which_variable_counts(self):
        both = {"LETTA_BASE_URL": "http://a/", "LETTA_SERVER_URL": "http://b", "LETTA_API_KEY": "k", "LETTA_SERVER_PASSWORD": "p"}
        for left_out, base, key in ((None, "http://a", "k"), ("LETTA_BASE_URL", "http://b", "k"), ("LETTA_API_KEY", "http://a", "p")):
            made = letta.Letta({name: value for name, value in both.items() if name != left_out})
            self.assertEqual((made.base, made.key), (base, key))
