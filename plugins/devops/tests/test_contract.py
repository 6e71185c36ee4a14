"""What the daemon and people see before anything runs."""

import json
import re

from .bench import CLI, OnHost


class Contract(OnHost):
    def setUp(self):
        super().setUp()
        self.contract = self.host.answer("--describe")

    def test_it_says_who_it_is(self):
        self.assertEqual(self.contract["contract_version"], "1.1")
        self.assertEqual(self.contract["plugin"]["name"], CLI.parent.name)
        self.assertEqual([variable["name"] for variable in self.contract["plugin"]["env"]], ["DEVOPS_CONFIG"])

    def test_the_parser_has_the_same_commands_and_parameters(self):
        listed = re.findall(r"^    (\S+)", self.host.run("--help").stdout, re.MULTILINE)
        self.assertEqual(listed, [command["name"] for command in self.contract["commands"]])
        for command in self.contract["commands"]:
            text = self.host.run(command["name"], "--help").stdout
            flags = re.findall(r"^  --(\S+)", text, re.MULTILINE)
            self.assertEqual(flags, [parameter["name"] for parameter in command["parameters"]], text)

    def test_who_reads_and_who_replaces(self):
        hints = {command["name"]: command["annotations"] for command in self.contract["commands"]}
        self.assertEqual({name for name in hints if hints[name].get("destructiveHint")}, {"deploy", "rollback"})
        self.assertEqual({name for name in hints if hints[name]["readOnlyHint"]}, {"status", "history", "logs", "apps"})

    def test_nothing_configured_is_no_error_for_those_who_read(self):
        for text in (None, "", "[apps]\n"):
            if text is not None:
                (self.host.home / "devops.toml").write_text(text)
            for command in ("status", "apps"):
                answer = self.host.answer(command)
                self.assertEqual(answer["apps"], [])
                self.assertIn("no app is configured", answer["note"])
        self.assertIn("no app is called `web`", self.host.error("deploy", "--app-name=web")["error"])

    def test_a_broken_file_is_one_error(self):
        (self.host.home / "devops.toml").write_text("apps = [")
        for argv in (["status"], ["apps"], ["deploy", "--app-name=web"]):
            self.assertIn("is not TOML", self.host.error(*argv)["error"])

    def test_each_progress_line_is_json(self):
        self.host.configure()
        self.host.write("one")
        done = self.host.run("deploy", "--app-name=web")
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        self.assertEqual([line["message"].split(":")[0] for line in lines],
                         ["resolve", "fetch", "shared", "build", "migrate", "switch", "restart", "health", "finish"])
        self.assertEqual([line["progress"] for line in lines], list(range(1, 10)))
        self.assertEqual({line["total"] for line in lines}, {9})
