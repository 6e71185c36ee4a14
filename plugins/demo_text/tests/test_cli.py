"""Runs the real `cli.py` as the daemon does: one process a call, argv in, JSON out."""

import hashlib
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


class Echo(unittest.TestCase):
    def test_the_message_comes_back_as_it_went_in(self):
        awkward = ("", " ", "-5", "--help", "--", "a=b", "%s {}", '"quoted" \\ and\nlines\t', "naïve 日本語 🎉")
        for message in (*awkward, "x" * 100_000):
            with self.subTest(message[:20]):
                self.assertEqual(answer("echo", f"--message={message}"), {"message": message})

    def test_the_prefix_stands_directly_before_it(self):
        self.assertEqual(answer("echo", "--message=hello", "--prefix=--"), {"message": "--hello"})
        self.assertEqual(answer("echo", "--message=hello", "--prefix="), {"message": "hello"})

    def test_the_answer_is_ascii_whatever_the_locale(self):
        self.assertTrue(run("echo", "--message=日本語").stdout.isascii())


class WordCount(unittest.TestCase):
    def test_counts(self):
        for text, words, characters, lines in [
            ("", 0, 0, 0),
            ("   ", 0, 3, 1),
            ("one", 1, 3, 1),
            ("one\n", 1, 4, 1),
            ("one two\n\nthree", 3, 14, 3),
            ("-x --yes", 2, 8, 1),
            ("日本 語 🎉", 3, 6, 1),
        ]:
            with self.subTest(text):
                self.assertEqual(
                    answer("word-count", f"--text={text}"),
                    {"words": words, "characters": characters, "lines": lines},
                )


class Slugify(Failing):
    def test_slugs(self):
        for title, slug in [
            ("Hello, World!", "hello-world"),
            ("  Crème  Brûlée ", "creme-brulee"),
            ("--help", "help"),
            ("Straße 7", "strasse-7"),
            ("ﬁne ① Ⅳ", "fine-1-iv"),
            ("日本 2024", "2024"),
            ("under_score.txt", "under-score-txt"),
        ]:
            with self.subTest(title):
                self.assertEqual(answer("slugify", f"--title={title}"), {"slug": slug})

    def test_a_title_that_leaves_nothing_is_an_error(self):
        for title in ("", "---", "日本語", "🎉"):
            self.assert_error(["slugify", f"--title={title}"], "no letter or digit")


class HashPreview(Failing):
    def test_it_hashes_utf_8(self):
        for text, preview, length in [
            ("", "e3b0c44298fc", 0),
            ("hello", "2cf24dba5fb0", 5),
            ("é", hashlib.sha256("é".encode()).hexdigest()[:12], 2),
            ("-n", hashlib.sha256(b"-n").hexdigest()[:12], 2),
        ]:
            with self.subTest(text):
                self.assertEqual(
                    answer("hash-preview", f"--text={text}"),
                    {"algorithm": "sha256", "preview": preview, "length": length},
                )

    @unittest.skipIf(sys.platform == "win32", "arguments are bytes only on POSIX")
    def test_bytes_that_are_not_utf_8_are_an_error(self):
        self.assert_error(["hash-preview", b"--text=\xff"], "surrogates not allowed")


class Usage(Failing):
    def test_bad_command_lines_exit_2_and_speak_on_stderr(self):
        self.assert_usage([], "COMMAND")
        self.assert_usage(["no-such-command"], "no-such-command")
        self.assert_usage(["echo", "--message"], "--message")
        self.assert_usage(["echo", "--message=a", "b"], "b")
        self.assert_usage(["echo", "--mess=a"], "--message")


if __name__ == "__main__":
    unittest.main()
