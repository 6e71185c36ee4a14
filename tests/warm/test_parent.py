"""What a parent promises apart from sameness: it tells what it cannot serve, survives what is sent, leaves nothing."""

import array
import ast
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import driver

LATE = "import sys\nprint(sys.argv[1:])\n"
SLOW = "import sys, time\nn = len(sys.argv)\nprint('up', flush=True)\ntime.sleep(60)\n"


def setUpModule():
    driver.adopt()


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid, limit=10):
    end = time.monotonic() + limit
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.005)
    return not is_alive(pid)


def deprecated(name):
    found = subprocess.run([sys.executable, "-W", "error", "-c", "import " + name], stderr=subprocess.PIPE)
    return b"DeprecationWarning" in found.stderr


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="warm-")
        self.addCleanup(directory.cleanup)
        self.root = os.path.realpath(directory.name)

    def file(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def parent(self, text=LATE, **options):
        parent = driver.Parent(sys.executable, self.file("cli.py", text), cwd=self.root, **options)
        self.addCleanup(parent.close)
        return parent


class Unfit(Case):
    def reason(self, text=LATE, **options):
        parent = self.parent(text, **options)
        self.assertEqual(list(parent.answer), ["unfit"])
        parent.close()
        self.assertEqual(parent.process.returncode, 0)
        return parent.answer["unfit"]

    def test_a_script_that_does_not_compile_is_named_with_the_reason(self):
        self.assertIn("SyntaxError", self.reason("x = = 1\n"))
        self.assertIn("null bytes", self.reason("x = 1\0\n"))

    def test_a_script_that_is_gone_is_told(self):
        path = self.file("cli.py", LATE)
        told = {"script": path + "x", "orig_argv": [], "root": self.root, "preload": [], "names": []}
        with driver.Parent(sys.executable, path, settings=told) as parent:
            self.assertIn("FileNotFoundError", parent.answer["unfit"])

    def test_a_preloaded_module_that_starts_a_thread_is_told(self):
        start = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        self.file("busy.py", "import threading, time\n" + start)
        self.assertEqual(self.reason(preload=["busy"]), "importing starts threads")

    def test_a_preloaded_module_that_keeps_a_descriptor_is_told(self):
        self.file("keeper.py", "import os\nfd = os.open(__file__, os.O_RDONLY)\n")
        self.assertIn("keeper.py", self.reason(preload=["keeper"]))

    def test_a_preloaded_module_that_prints_is_told(self):
        self.file("loud.py", "print('hello there')\n")
        self.assertEqual(self.reason(preload=["loud"]), "importing loud prints: hello there")

    def test_a_preloaded_module_that_becomes_another_program_ends_the_parent_without_an_answer(self):
        self.file("leaver.py", "import os\nos.execv('/bin/true', ['true'])\n")
        parent = self.parent(preload=["leaver"])
        self.assertEqual(parent.answer, {})

    def test_an_interpreter_that_is_to_stay_interactive_is_told(self):
        self.assertIn("interactive", self.reason(base=dict(driver.BASE, PYTHONINSPECT="1")))


class Parts(unittest.TestCase):
    def test_no_two_define_the_same_name_which_would_be_one_variable(self):
        found = {}
        for part in driver.PARTS:
            names = set()
            for statement in ast.parse(driver.text(part)).body:
                if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                    names.add(statement.name)
                elif isinstance(statement, ast.Assign):
                    stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
                    names.update(node.id for node in stored if isinstance(node.ctx, ast.Store))
            for name in names:
                self.assertNotIn(name, found, part)
                found[name] = part
        self.assertGreater(len(found), 50)


class Ready(Case):
    def test_preloaded_modules_are_there_and_a_missing_one_is_told(self):
        self.file("mine.py", "WORD = 'mine'\n")
        parent = self.parent("import sys, mine\nprint(mine.WORD, sys.argv[1:])\n", preload=["mine", "smcp_no_such"])
        ready = parent.answer["ready"]
        self.assertEqual(ready["said"], ["could not preload smcp_no_such: No module named 'smcp_no_such'"])
        self.assertIn(os.path.join(self.root, "mine.py"), ready["files"])
        self.assertIn(os.path.join(self.root, "cli.py"), ready["files"])
        self.assertEqual(ready["version"], "%d.%d.%d" % sys.version_info[:3])
        self.assertTrue(4000 < ready["kib"] < 400_000)
        self.assertEqual(parent.call("S", ["x"]).stdout, b"mine ['x']\n")

    def test_imports_of_the_script_and_of_files_beside_it_are_done_ahead(self):
        self.file("beside.py", "def late():\n    from xml.dom import minidom\n    return minidom\n")
        text = (
            "import sys\nfrom beside import late\n"
            "print([name in sys.modules for name in ('xml.dom.minidom', 'beside', 'wave', 'this')], sys.argv[1:])\n"
            "if 0:\n    import this, colorsys\n"
        )
        parent = self.parent(text.replace("'beside', 'wave'", "'beside', 'wave', 'colorsys'"))
        self.assertEqual(parent.call("F").stdout, b"[True, True, False, True, False] []\n")

    def test_a_translation_that_is_not_there_is_watched_for(self):
        text = "import argparse, sys\nprint(argparse.ArgumentParser(sys.argv[0]).format_usage())\n"
        gone = [path for path in self.parent(text).answer["ready"]["files"] if not os.path.lexists(path)]
        self.assertTrue(gone)
        for path in gone:
            self.assertTrue(os.path.isdir(os.path.dirname(path)), path)
        base = dict(driver.BASE, LC_ALL="C")
        files = self.parent(text, base=base).answer["ready"]["files"]
        self.assertEqual([path for path in files if not os.path.lexists(path)], [], "nothing is looked for in C")

    def test_a_spare_tells_every_file_that_it_was_made_of(self):
        for name in "one", "two", "three":
            self.file(name + ".py", "")
        by_path = (
            "spec = importlib.util.spec_from_file_location('three', sys.path[0] + '/three.py')\n"
            "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        )
        kept = "module = importlib.util.module_from_spec(spec)\nsys.modules['three'] = module\n"
        texts = {
            "import one\nfrom two import __name__ as name\n": ["one", "two"],
            "import importlib.util\n" + by_path: [],
            "import importlib.util\n" + by_path + kept: ["three"],
            "": [],
        }
        for text, names in texts.items():
            for turn in "compiled now", "compiled before":
                with self.subTest(text=text, turn=turn):
                    parent = self.parent("import sys\n" + text + "print(sys.argv[1:])\n")
                    with parent.request("S") as child:
                        files = json.loads(child.until("waiting").partition(" ")[2])["files"]
                        found = {os.path.basename(path)[:-3] for path in files if path.endswith(".py")}
                    driver.await_exit(child.pid)
                    self.assertLessEqual({"cli", *names}, found)
                    parent.close()

    def test_a_child_is_the_daemons_whichever_way_it_is_forked(self):
        text = "import os, sys\nprint(os.getppid(), os.getpgrp() == os.getpid(), sys.argv[1:])\n"
        said = b"%d True ['x']\n" % os.getpid()
        found = driver.program()
        twice = found.replace(b"fork = sibling()", b"fork = None")
        forbidden = found.replace(b"0x8000 | 0x200000", b"0x10000")  # CLONE_THREAD alone is no request
        self.assertEqual(len({found, twice, forbidden}), 3)
        for sources in found, twice, forbidden:
            parent = self.parent(text, sources=sources)
            for kind in "FS" * 3:
                self.assertEqual(parent.call(kind, ["x"]).stdout, said)
            # The parent has none of its own to see to.
            with open("/proc/%d/task/%d/children" % (parent.pid, parent.pid)) as file:
                self.assertEqual(file.read(), "")

    def test_nothing_of_the_plugin_runs_in_the_parent(self):
        text = "open('ran', 'a').write('x')\nimport sys\nprint(sys.argv)\n"
        self.parent(text)
        self.assertEqual(os.listdir(self.root), ["cli.py"])

    def test_a_module_that_warns_when_imported_is_left_to_each_call(self):
        name = next((name for name in ("cgi", "imp", "pipes", "asynchat") if deprecated(name)), None)
        if name is None:
            self.skipTest("no module of this version's library is deprecated")
        parent = self.parent("import sys\nimport %s\nprint(sys.argv[1:])\n" % name)
        result = parent.call("F", ["x"])
        self.assertIn(b"DeprecationWarning", result.stderr)
        self.assertEqual(result.stdout, b"['x']\n")


class Requests(Case):
    def test_files_read_before_the_wait_are_reported(self):
        self.file("package/__init__.py", "")
        self.file("package/part.py", "")
        self.file("settings.ini", "[x]\n")
        self.file("data/one", "")
        parent = self.parent(
            "import os, sys\nfrom package import part\nopen('settings.ini').close()\nos.listdir('data')\n"
            "open('/proc/version').close()\nopen(os.__file__).close()\nprint(sys.argv[1:])\n"
        )
        with parent.request("S") as child:
            line = child.until("waiting")
            report = json.loads(line.partition(" ")[2])
        ours = {os.path.relpath(path, self.root) for path in report["files"] if path.startswith(self.root)}
        self.assertEqual(
            ours, {".", "cli.py", "package", "package/__init__.py", "package/part.py", "settings.ini", "data"}
        )
        others = ("/proc", os.path.dirname(os.__file__))
        self.assertEqual([path for path in report["files"] if path.startswith(others)], [])
        self.assertEqual(report["at"], "argv")
        self.assertTrue(4000 < report["kib"] < 400_000)
        self.assertEqual(driver.await_exit(child.pid), 0)

    def test_requests_of_both_kinds_may_stand_in_a_row(self):
        parent = self.parent()
        children = [(kind, parent.request(kind)) for kind in "SFFSSFSF"]
        for number, (kind, child) in reversed(list(enumerate(children))):
            with child:
                if kind == "S":
                    child.until("waiting")
                else:
                    child.until("pid")
                self.assertEqual(child.run([str(number)]).stdout, b"['%d']\n" % number)

    def test_malformed_requests_are_refused_or_dropped_and_the_parent_goes_on(self):
        parent = self.parent()
        parent.control.send(b"F")  # without a descriptor
        with parent.request("X") as child:
            self.assertEqual(child.line(), "refused a request is `S` or `F`")
            self.assertIsNone(child.line())
        ends = [os.pipe() for _ in range(2)]
        parent.control.sendmsg(
            [b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [write for _, write in ends]))]
        )
        for read, write in ends:
            os.close(write)
            self.assertEqual(os.read(read, 1), b"")  # the parent closed its copies
            os.close(read)
        self.assertEqual(parent.call("F", ["on"]).stdout, b"['on']\n")

    def test_malformed_calls_are_refused_with_a_reason_and_nothing_runs(self):
        parent = self.parent("open('ran', 'a')\n")
        null = os.open(os.devnull, os.O_RDWR)
        self.addCleanup(os.close, null)
        head = lambda *numbers: struct.pack("<4I", *numbers)  # noqa: E731
        cases = {
            "the call came with 0 descriptors": (head(0, 0, 0, 0), 0),
            "the call came with 2 descriptors": (head(0, 0, 0, 0), 2),
            "the call is of 9000000 bytes": (head(9000000, 0, 0, 0), 3),
            "the call is malformed": (head(2, 2, 0, 0) + b"a\0", 3),
            "a variable of the call is malformed": (head(2, 0, 1, 0) + b"a\0", 3),
        }
        cases = list(cases.items()) + [("the call is malformed", (head(1, 1, 0, 0) + b"a", 3))]
        for reason, (data, count) in cases:
            with self.subTest(reason=reason, data=data), parent.request("F") as child:
                child.send(data, [null] * count)
                self.assertEqual(child.until("refused", "running"), "refused " + reason)
                self.assertEqual(driver.await_exit(child.pid), 0)
        self.assertEqual(os.listdir(self.root), ["cli.py"])

    def test_a_large_call_arrives_in_pieces(self):
        parent = self.parent("import sys\nprint(len(sys.argv), sum(map(len, sys.argv[1:])))\n")
        arguments = ["x" * 1000] * 7000
        for kind in "SF":
            self.assertEqual(parent.call(kind, arguments).stdout, b"7001 7000000\n")

    def test_a_child_leaves_when_its_channel_ends(self):
        parent = self.parent("import sys\nif len(sys.argv) > 0:\n    open('ran', 'w')\n")
        for kind, until in (("S", "waiting"), ("F", "pid")):
            with parent.request(kind) as child:
                child.until(until)
            self.assertEqual(driver.await_exit(child.pid), 0)
        self.assertEqual(os.listdir(self.root), ["cli.py"])

    def test_the_mark_is_what_proc_shows(self):
        parent = self.parent(SLOW)
        for kind in "SF":
            with parent.request(kind) as child:
                if kind == "S":
                    child.until("waiting")
                out, err = child.start([], {"SMCP_CALL_ID": "this-one"})
                child.until("running")
                self.assertEqual(os.read(out, 3), b"up\n")
                with open("/proc/%d/environ" % child.pid, "rb") as file:
                    self.assertIn(b"SMCP_CALL_ID=this-one", file.read().split(b"\0"))
                os.kill(child.pid, signal.SIGKILL)
                self.assertEqual(driver.await_exit(child.pid), -9)
                os.close(out)
                os.close(err)

    def test_a_spare_runs_in_the_idle_class_and_leaves_it_for_the_wait(self):
        text = (
            "import os\nbefore = os.sched_getscheduler(0)\nimport sys\nn = len(sys.argv)\n"
            "print(before, os.sched_getscheduler(0))\n"
        )
        parent = self.parent(text, idle=True)
        limits = subprocess.run([sys.executable, "-c", RISE], stdout=subprocess.PIPE, check=True).stdout.strip()
        self.assertEqual(parent.call("S").stdout, b"5 0\n" if limits == b"yes" else b"0 0\n")

    def test_each_child_draws_its_own_chances(self):
        text = (
            "import multiprocessing, random, secrets, sys, tempfile, uuid\nn = len(sys.argv)\n"
            "key = bytes(multiprocessing.current_process().authkey).hex()\n"
            "print(random.random(), secrets.token_hex(), uuid.uuid4(), next(tempfile._get_candidate_names()), key)\n"
        )
        parent = self.parent(text)
        drawn = [parent.call(kind).stdout.split() for kind in "FFSS"]
        for column in zip(*drawn):
            self.assertEqual(len(set(column)), 4, column)

    def test_code_that_ends_without_waiting_is_told_with_what_it_said(self):
        parent = self.parent("import sys\nsys.exit('no ' * 400 + 'end')\n")
        result = parent.call("S")
        told = json.loads(result.lines[-1].partition(" ")[2])
        self.assertEqual(told["status"], 1)
        self.assertTrue(told["said"].endswith("no end\n"))
        self.assertLessEqual(len(told["said"]), 500)


RISE = """
import os
try:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    print("yes")
except OSError:
    print("no")
"""


class Ends(Case):
    def test_a_child_says_what_it_exits_with_once_nothing_is_left_to_do(self):
        # What it says is to be seen before it is gone: it would exit too soon.
        held = "import os, sys, time\nword = sys.argv[1]\nprint(word)\nos._exit = lambda status: time.sleep(60)\n"
        daemonic = "import threading\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        for more, name in ("sys.exit(3)\n", "smcp-ended 3"), (daemonic + "sys.exit(3)\n", None):
            parent = self.parent(held + more)
            for kind in "F", "S":
                with parent.request(kind) as child:
                    if kind == "S":
                        self.assertTrue(child.until("waiting", "refused").startswith("waiting"))
                    out, err = child.start(["word"])
                    child.until("running")
                    self.assertEqual(os.read(out, 100), b"word\n")
                    if name is None:
                        time.sleep(0.2)
                        self.assertTrue(os.listdir("/proc/%d/fd" % child.pid), "a thread may still use them")
                    else:
                        self.assertEqual(driver.gather([out, err]), [b"", b""])
                        self.assertEqual(os.listdir("/proc/%d/fd" % child.pid), [])
                    with open("/proc/%d/comm" % child.pid) as file:
                        self.assertEqual(file.read().strip() == "smcp-ended 3", name is not None)
                    os.kill(child.pid, signal.SIGKILL)
                    os.waitpid(child.pid, 0)
                    os.close(out)
                    os.close(err)

    def test_a_running_child_outlives_its_parent(self):
        parent = self.parent(SLOW.replace("60", "0.3") + "print('done')\n")
        with parent.request("S") as child:
            child.until("waiting")
            out, err = child.start()
            self.assertEqual(os.read(out, 3), b"up\n")
            os.kill(parent.pid, signal.SIGKILL)
            parent.process.wait()
            self.assertEqual(driver.gather([out, err]), [b"done\n", b""])
            self.assertEqual(driver.await_exit(child.pid), 0)
            os.close(out)
            os.close(err)

    def test_a_parent_leaves_when_its_socket_ends_and_a_waiting_child_can_still_be_used(self):
        parent = self.parent()
        with parent.request("S") as child:
            child.until("waiting")
            self.assertEqual(parent.close(), b"")
            self.assertEqual(parent.process.returncode, 0)
            self.assertEqual(child.run(["x"]).stdout, b"['x']\n")

    def test_nothing_outlives_the_daemon(self):
        self.file("cli.py", SLOW)
        script = (
            "import sys, os, time; sys.path.insert(0, %r); import driver; driver.adopt()\n"
            "parent = driver.Parent(sys.executable, %r)\n"
            "spare = parent.request('S'); spare.until('waiting')\n"
            "running = parent.request('F'); running.until('pid'); out, _ = running.start(); os.read(out, 3)\n"
            "print(parent.pid, spare.pid, running.pid, flush=True); time.sleep(60)\n"
        ) % (driver.HERE, os.path.join(self.root, "cli.py"))
        daemon = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        pids = [int(word) for word in daemon.stdout.readline().split()]
        self.assertEqual([is_alive(pid) for pid in pids], [True] * 3)
        daemon.kill()
        daemon.wait()
        daemon.stdout.close()
        self.assertEqual([gone(pid) for pid in pids], [True] * 3)
        for pid in pids:  # they are this process's now
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass

    def test_a_thousand_children_leave_no_trace_in_the_parent(self):
        parent = self.parent("import sys\nn = len(sys.argv)\n")

        def look():
            with open("/proc/%d/statm" % parent.pid) as file:
                pages = int(file.read().split()[1])
            with open("/proc/%d/task/%d/children" % (parent.pid, parent.pid)) as file:
                return len(os.listdir("/proc/%d/fd" % parent.pid)), file.read(), pages

        for _ in range(20):
            parent.call("F")
        before = look()
        ours = len(os.listdir("/proc/self/fd"))
        for number in range(1000):
            with parent.request("FS"[number % 10 == 0]) as child:
                child.until("waiting" if number % 10 == 0 else "pid")
                if number % 3 == 0:
                    self.assertEqual(child.run().status, 0)
                    continue
            driver.await_exit(child.pid)  # its channel ended
        # The parent has done with the last one once it answers another.
        self.assertEqual(parent.call("F").status, 0)
        after = look()
        self.assertEqual(after[:2], before[:2])
        self.assertEqual(after[1], "")
        self.assertLess(after[2] - before[2], 256)  # pages: one MiB
        self.assertEqual(len(os.listdir("/proc/self/fd")), ours)


if __name__ == "__main__":
    unittest.main()
