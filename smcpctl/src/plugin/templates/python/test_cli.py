"""Run with `python3 -m unittest` in this directory."""

import json
import os
import subprocess
import sys
import unittest

CLI = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli.py")


def run(*arguments):
    done = subprocess.run([sys.executable, CLI, *arguments], stdout=subprocess.PIPE, check=False)
    return done.returncode, json.loads(done.stdout)


class GreetTest(unittest.TestCase):
    def test_greets_as_often_as_asked(self):
        self.assertEqual(run("greet", "--name=Ada", "--times=2"), (0, {"greeting": "Hello, Ada! Hello, Ada!"}))

    def test_says_what_is_wrong(self):
        status, result = run("greet", "--name=Ada", "--times=0")
        self.assertEqual(status, 1)
        self.assertIn("--times", result["error"])


if __name__ == "__main__":
    unittest.main()
