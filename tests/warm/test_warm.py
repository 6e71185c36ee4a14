"""Warm workers against cold starts: the same program, run each way, must come to the same.

    PYTHON -m unittest discover tests/warm

Every Python plugin of the fixtures and of `plugins/`, and the misbehaving ones under `scripts/`, run cold, as a fork,
as a spare, and twice from a model; compared are stdout, stderr, the exit status and the files written. That the
environment, the open descriptors and the rest of a process's state are the same, scripts tell themselves (`state`,
`environment_*`).

All of it runs under the interpreter that runs the tests, a selection under the others (`driver.pythons`).

A script says in comments at its top: `spare:` where a spare must stop ("argv", "environment NAME", "event NAME", or
that none is to be had: "ends", "blocks", "refused", "closes"), `arguments:`, `stdin:`, `known:` a key of KNOWN,
`unread:` that nobody reads its stdout.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import unittest

import driver

SCRIPTS = os.path.join(driver.HERE, "scripts")
FIXTURES = os.path.join(driver.ROOT, "tests", "fixtures", "plugins")
PLUGINS = os.path.join(driver.ROOT, "plugins")
# The first spare is a model's already, where there can be one, and the parent waits until it knows.
MODEL = {"spare_age": 60, "often": 1e9}
EACH = {"SMCP_CALL_ID": "call-1", "SMCP_CALLER": "tester", "EACH_ONE": "one", "EACH_Z": "ü"}

# What is not the same, and why. The scripts do not print process ids, hashes of strings or `id`s: those differ from
# one cold start to the next as well. Further known: /proc/self/cmdline shows the parent's command line, since the
# kernel keeps it; frames below `<module>` (`sys._getframe`, `traceback.print_stack`) are the worker's; string hashes
# are the same in all calls of one parent, because their seed is drawn at its start.
KNOWN = {
    "chance": (
        "what chance decides differs between any two runs",
        lambda text: re.sub(rb"(?s)^.* (?=\[)", b"? ", text),  # that it differs: test_parent
    ),
    "depth": (
        "a worker's frames below `<module>` take of the recursion limit",
        lambda text: re.sub(rb"\d+ more times", b"N", text),
    ),
}

# Of these, every version of Python must do the same.
EVERYWHERE = (
    "prints_before", "exit_text", "raises", "raises_chained", "raises_in_atexit", "raises_in_hook", "interrupted",
    "thread", "processes_spawn", "subprocess_late", "fork", "deleting", "warns_importing", "warns_compiling",
    "file_unclosed", "environment_changes", "environment_listed", "argv_import", "argv_plus_in_place", "argv_orig",
    "dup_stdout", "names", "state", "main_classes", "broken_pipe", "parses_argparse_wrong", "library_heavy",
)  # fmt: skip


def setUpModule():
    driver.adopt()


def header(path):
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            match = re.match(r"# (spare|arguments|stdin|known|unread|file|directory): ?(.*)", line)
            if not match:
                break
            found[match[1]] = match[2].strip()
    return found


def words(text):
    """Splits as a shell does; `$'\\xff'` is that byte."""
    found = shlex.split(text.replace("$'", "'$"))
    return [os.fsdecode(b"\xff") if word == "$\\xff" else word for word in found]


def scripts():
    found = {name[:-3]: os.path.join(SCRIPTS, name) for name in os.listdir(SCRIPTS) if name.endswith(".py")}
    del found["beside"]
    found["shadowing"] = os.path.join(SCRIPTS, "shadowing", "cli.py")
    return dict(sorted(found.items()))


def plugins():
    """Returns the Python plugins, by name."""
    found = {}
    for place in (FIXTURES, PLUGINS):
        for name in sorted(os.listdir(place)):
            for entry in ("cli.py", "cli"):
                path = os.path.join(place, name, entry)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        first = file.readline()
                    if entry == "cli.py" or b"python" in first:
                        found[name] = path
    return found


class Place:
    """A directory to run in, and what a run left there."""

    def __init__(self, test):
        self.path = tempfile.mkdtemp(prefix="warm-")
        test.addCleanup(shutil.rmtree, self.path, True)
        self.base = dict(driver.BASE, TMPDIR=os.path.join(self.path, "tmp"), PYTHONDONTWRITEBYTECODE="1")
        self.empty()

    def empty(self):
        # The directory itself stays: it is the working directory of a parent.
        for entry in os.scandir(self.path):
            shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)
        os.mkdir(self.base["TMPDIR"])

    def take(self):
        """Returns the files and their contents, and removes them."""
        found = {}
        for directory, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    # What tempfile makes up is not compared.
                    found[re.sub(r"(?<=kept)\w{8}$", "?", os.path.relpath(path, self.path))] = file.read()
            found[os.path.relpath(directory, self.path)] = None
        self.empty()
        return found


class Same(unittest.TestCase):
    """The differential test."""

    maxDiff = 4000

    def compare(
        self, python, script, argument_lists, expect=None, known=None, stdin=None, unread=False, unbuffered=True
    ):
        place = Place(self)
        if unbuffered:
            place.base["PYTHONUNBUFFERED"] = "1"
        options = {"stdin": stdin, "read": not unread}

        def outcome(result):
            stdout, stderr = (re.sub(rb"\b0x[0-9a-f]{8,}", b"0x?", text) for text in (result.stdout, result.stderr))
            if known:
                stdout, stderr = KNOWN[known][1](stdout), KNOWN[known][1](stderr)
            return {"stdout": stdout, "stderr": stderr, "status": result.status, "files": place.take()}

        with driver.Parent(python, script, place.base, place.path) as parent:
            self.assertIn("ready", parent.answer)
            for arguments in argument_lists:
                cold = driver.run_cold(python, script, arguments, EACH, base=place.base, cwd=place.path, **options)
                cold = outcome(cold)
                with self.subTest(kind="fork", arguments=arguments):
                    self.assertEqual(outcome(parent.call("F", arguments, EACH, **options)), cold)
                with self.subTest(kind="spare", arguments=arguments):
                    if expect in ("blocks", "closes"):
                        self.no_spare(parent, expect)
                        continue
                    result = parent.call("S", arguments, EACH, **options)
                    if expect in ("ends", "refused"):
                        self.assertRegex(result.lines[-1], "^(ended|refused)")
                        self.assertEqual(place.take(), {".": None, "tmp": None})
                    elif result.status is None:
                        self.assertIsNone(expect, result.lines)
                        self.assertRegex(result.lines[-1], "^ended")
                    else:
                        if expect:
                            self.assertRegex(result.lines[1], '^waiting {"at": "%s' % re.escape(expect))
                        self.assertEqual(outcome(result), cold)
            self.assertEqual(parent.close(), b"")
            if expect in ("blocks", "closes", "ends", "refused"):
                return
        place.empty()
        with driver.Parent(python, script, place.base, place.path, more=MODEL) as parent:
            for arguments in argument_lists:
                cold = driver.run_cold(python, script, arguments, EACH, base=place.base, cwd=place.path, **options)
                cold = outcome(cold)
                for _ in range(2):
                    with self.subTest(kind="model", arguments=arguments):
                        result = parent.call("S", arguments, EACH, **options)
                        if result.status is not None:
                            self.assertEqual(outcome(result), cold)
            self.assertEqual(parent.close(), b"")

    def no_spare(self, parent, expect):
        with parent.request("S") as child:
            self.assertRegex(child.until("pid "), "^pid ")
            child.channel.settimeout(0.4)
            if expect == "closes":
                self.assertIsNone(child.line())
            else:
                with self.assertRaises(socket.timeout):
                    child.line()
                os.kill(child.pid, signal.SIGKILL)
            driver.await_exit(child.pid)


def script_test(path, python, unbuffered):
    def test(self):
        about = header(path)
        stdin = about["stdin"].encode() + b"\n" if "stdin" in about else None
        arguments = words(about.get("arguments", "a 'b c'"))
        self.compare(
            python, path, [arguments], about["spare"], about.get("known"), stdin, "unread" in about, unbuffered
        )

    return test


# A script that writes to stdout and stderr without end, or to time, is not one to compare.
UNBOUNDED = {"bad_flood"}
MORE = {
    "demo_text": [
        ["echo", "--message", "hi"], ["slugify", "--title", "Crème"], ["slugify", "--title", "!"],
        ["hash-preview", "--text", "x"],
    ],
    "demo_math": [["add", "--a", "1", "--b", "2"]],
    "heavy": [["digest", "--text", "x"]],
    "argv_first": [["convert", "--value", "3", "--from-unit", "km"], ["units"]],
    "slow_start": [["ping"]],
    "bad_hang": [["x"]],
}  # fmt: skip


def plugin_test(name, path, python):
    def test(self):
        lists = [[], ["--help"], ["--describe"], ["no-such-command", "--x"]]
        if name in ("bad_hang", "slow_start", "contract_no_help"):
            lists = [[], ["no-such-command"]]  # the others take long, by design
        self.compare(python, path, lists + MORE.get(name, []))

    return test


def fill():
    others = [path for path in driver.pythons() if not is_this(path)]
    for name, path in scripts().items():
        setattr(Same, "test_script_" + name, script_test(path, sys.executable, True))
    # With buffers, as a plugin started by hand: the flushing at the end is then its own.
    for name in (
        "prints_before", "raises", "exit_text", "fork", "broken_pipe", "deleting", "wraps_stdout", "dup_stdout", "large",
        "c_stdio", "thread", "exit_os", "state", "raises_before",
    ):
        setattr(Same, "test_buffered_" + name, script_test(scripts()[name], sys.executable, False))
    for name, path in plugins().items():
        if name not in UNBOUNDED:
            setattr(Same, "test_plugin_" + name, plugin_test(name, path, sys.executable))
    for python in others:
        version = os.path.basename(python).replace("python", "").replace(".", "_")
        for name in EVERYWHERE:
            setattr(Same, "test_python_%s_%s" % (version, name), script_test(scripts()[name], python, True))
        for name in ("demo_text", "devops"):
            setattr(Same, "test_python_%s_%s" % (version, name), plugin_test(name, plugins()[name], python))


def is_this(path):
    name = os.path.basename(os.path.realpath(path))
    return name == "python%d.%d" % sys.version_info[:2]


fill()

if __name__ == "__main__":
    unittest.main()
