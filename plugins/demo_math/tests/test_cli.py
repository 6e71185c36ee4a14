"""Runs the real `cli.py` as the daemon does: one process a call, argv in, JSON out."""

import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

CLI = Path(__file__).resolve().parents[1] / "cli.py"


def run(*argv):
    return subprocess.run(
        [sys.executable, str(CLI), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "4000", "NO_COLOR": "1"},
        timeout=30,
    )


def answer(*argv):
    done = run(*argv)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def calculate(operation, a, b):
    return answer("calculate", f"--operation={operation}", f"--a={a}", f"--b={b}")["result"]


class Failing(unittest.TestCase):
    def assert_error(self, argv, text):
        done = run(*argv)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(text, json.loads(done.stdout)["error"])

    def assert_usage(self, argv, text):
        done = run(*argv)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done)
        self.assertIn(text, done.stderr)


class Contract(unittest.TestCase):
    def setUp(self):
        self.contract = answer("--describe")

    def test_it_says_who_it_is(self):
        self.assertEqual(self.contract["contract_version"], "1.1")
        self.assertEqual(self.contract["plugin"]["name"], CLI.parent.name)

    def test_the_parser_has_the_same_commands(self):
        listed = re.findall(r"^    (\S+)", run("--help").stdout, re.MULTILINE)
        self.assertEqual(listed, [command["name"] for command in self.contract["commands"]])

    def test_the_parser_has_the_same_parameters(self):
        for command in self.contract["commands"]:
            with self.subTest(command["name"]):
                text = run(command["name"], "--help").stdout
                flags = set(re.findall(r"^  (?:-h, )?--([\w-]+)", text, re.MULTILINE)) - {"help"}
                self.assertEqual(flags, {parameter["name"] for parameter in command["parameters"]})
                for parameter in command["parameters"]:
                    self.assertIn(parameter["description"], text)
                    if "enum" in parameter:
                        self.assertIn("{" + ",".join(parameter["enum"]) + "}", text)

    def test_the_parser_requires_the_same_parameters(self):
        for command in self.contract["commands"]:
            with self.subTest(command["name"]):
                required = ["--" + item["name"] for item in command["parameters"] if item.get("required")]
                done = run(command["name"])
                self.assertEqual(done.returncode, 2 if required else 0)
                if required:
                    self.assertIn("required: " + ", ".join(required), done.stderr)

    def test_the_examples_are_true(self):
        for command in self.contract["commands"]:
            for example in command["examples"]:
                with self.subTest(command["name"], **example["arguments"]):
                    flags = [f"--{name}={value}" for name, value in example["arguments"].items()]
                    result = answer(command["name"], *flags)
                    if command["annotations"]["idempotentHint"]:
                        self.assertEqual(result, example["result"])
                    else:
                        self.assertEqual(result.keys(), example["result"].keys())


class Calculate(Failing):
    def test_integers_stay_integers_where_the_result_is_exact(self):
        for operation, a, b, expected in [
            ("add", "2", "3", "5"),
            ("subtract", "2", "3", "-1"),
            ("multiply", "-4", "3", "-12"),
            ("divide", "6", "3", "2"),
            ("divide", "-6", "4", "-1.5"),
            ("divide", "0", "5", "0"),
            ("add", "2.5", "2.5", "5.0"),
            ("multiply", "1e3", "2", "2000.0"),
            ("add", "9007199254740993", "0", "9007199254740993"),
        ]:
            with self.subTest(operation, a=a, b=b):
                self.assertEqual(json.dumps(calculate(operation, a, b)), expected)

    def test_big_integers_are_exact(self):
        self.assertEqual(calculate("multiply", 10**200 + 1, 10**200 - 1), 10**400 - 1)
        self.assertEqual(calculate("divide", 10**400, 10**399), 10)

    def test_a_value_may_begin_with_a_dash(self):
        self.assertEqual(calculate("add", "-5", "-.5"), -5.5)
        self.assertEqual(calculate("add", "-1e2", "0"), -100.0)

    def test_division_by_zero_is_an_error(self):
        for zero in ("0", "-0", "0.0"):
            self.assert_error(["calculate", "--operation=divide", "--a=1", f"--b={zero}"], "divide by zero")

    def test_a_result_that_json_cannot_carry_is_an_error(self):
        for operation, a, b in [
            ("multiply", "1e308", "10"),
            ("multiply", "9" * 4000, "9" * 4000),
            ("divide", "1" + "0" * 400, "3"),
            ("add", "1" + "0" * 400, "0.5"),
        ]:
            self.assert_error(["calculate", f"--operation={operation}", f"--a={a}", f"--b={b}"], "too large")

    def test_what_is_not_a_finite_number_is_refused(self):
        for value in ("nan", "inf", "-inf", "-Infinity", "1e999", "", "two", "2 3", "0x10", "9" * 5000):
            with self.subTest(value[:20]):
                self.assert_usage(["calculate", "--operation=add", f"--a={value}", "--b=1"], "argument --a")

    def test_an_unknown_operation_is_refused(self):
        for operation in ("power", "", "ADD", "--help"):
            self.assert_usage(["calculate", f"--operation={operation}", "--a=1", "--b=1"], "argument --operation")


class FormatBytes(Failing):
    def test_sizes(self):
        for value, expected in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (-1536, "-1.5 KiB"),
            (-3, "-3 B"),
            (1024**2 - 1, "1.0 MiB"),
            (1024**3, "1.0 GiB"),
            (10**12, "931.3 GiB"),
            (2**64, "16.0 EiB"),
            (5000 * 1024**8, "5000.0 YiB"),
        ]:
            with self.subTest(value):
                self.assertEqual(answer("format-bytes", f"--value={value}"), {"value": value, "formatted": expected})

    def test_what_is_not_an_integer_is_refused(self):
        for value in ("", "1.5", "nan", "1 KiB"):
            self.assert_usage(["format-bytes", f"--value={value}"], "argument --value")


class CoinFlip(unittest.TestCase):
    def test_it_lands_on_a_side(self):
        self.assertIn(answer("coin-flip")["result"], ("heads", "tails"))


class Usage(Failing):
    def test_bad_command_lines_exit_2_and_speak_on_stderr(self):
        self.assert_usage([], "COMMAND")
        self.assert_usage(["no-such-command"], "no-such-command")
        self.assert_usage(["coin-flip", "--twice"], "--twice")
        self.assert_usage(["format-bytes", "--val=1"], "--value")
        self.assert_usage(["format-bytes", "--value=--"], "--")
        self.assert_usage(["calculate", "--operation=--", "--a=1", "--b=1"], "--")


if __name__ == "__main__":
    unittest.main()
