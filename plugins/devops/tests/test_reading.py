"""The commands that only read."""

from .bench import OnHost, program, tree

JOURNALCTL = '#!/bin/sh\necho "$*" >"$HOST/journalctl"; [ ! -e "$HOST/closed" ] || { echo no permission; exit 1; }\nprintf "one\\ntwo\\n"\n'


class Reading(OnHost):
    def setUp(self):
        super().setUp()
        self.host.configure(units=["web.service", "worker.service"], environments={"staging": {}})
        self.host.write("one")

    def test_they_change_nothing(self):
        for deployed in (False, True):
            before = tree(self.host.home)
            for argv in (["status"], ["status", "--app-name=web"], ["history", "--app-name=web"], ["apps"]):
                self.host.answer(*argv)
            self.assertEqual(tree(self.host.home), before)
            self.host.deploy()

    def test_status(self):
        release = self.host.deploy()["release"]
        found = self.host.answer("status", "--app-name=web")
        self.assertEqual((found["state"], found["release"], found["releases"]), ("deployed", release, [release]))
        self.assertRegex(found["since"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(found["units"][0], {"unit": "web.service", "state": "active", "substate": "running", "pid": 42, "restarts": 0})
        self.assertEqual((found["health"]["healthy"], found["last"][0]["outcome"]), (None, "deployed"))
        self.assertEqual(self.host.answer("status")["apps"][0]["release"], release)

    def test_without_systemd(self):
        for name in ("systemctl",):
            (self.host.bin / name).unlink()
        path = {"PATH": str(self.host.bin)}
        self.assertIn("no `systemctl`", self.host.answer("status", **path)["apps"][0]["units"][0]["note"])
        self.assertIn("no `systemctl` here", self.host.error("deploy", "--app-name=web", **path)["error"])
        self.assertIn("no `journalctl` here", self.host.error("logs", "--app-name=web", **path)["error"])

    def test_logs(self):
        program(self.host.bin / "journalctl", JOURNALCTL)
        self.assertEqual(self.host.answer("logs", "--app-name=web", "--lines=7")["lines"], ["one", "two"])
        self.assertEqual(
            (self.host.home / "journalctl").read_text(),
            "--quiet --no-pager --output=cat --lines=7 --unit=web.service --unit=worker.service\n",
        )
        (self.host.home / "closed").touch()
        self.assertIn("group `systemd-journal`", self.host.error("logs", "--app-name=web")["error"])
        for lines in ("0", "-1", "1001"):
            self.assertIn("from 1 to 1000", self.host.error("logs", "--app-name=web", f"--lines={lines}")["error"])

    def test_what_is_damaged_is_told_for_one_app(self):
        self.host.deploy()
        (self.host.root / ".devops/journal").write_text("{")
        self.assertIn("is damaged", self.host.answer("status")["apps"][0]["problem"])
        self.assertIn("is damaged", self.host.error("deploy", "--app-name=web")["error"])
