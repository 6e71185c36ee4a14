"""When a parent has a model, that what comes of it is each call's own, and that none is made of what differs."""

import os
import re
import subprocess
import sys
import time
import unittest

import driver
from test_parent import Case, gone

AT_ONCE = {"spare_age": 60, "often": 1e9}  # the first spare comes of a model, if there can be one


def setUpModule():
    driver.adopt()


def of_model(result):
    return any('"age"' in line for line in result.lines)


def children():
    """Returns the pids of this process's children, but for those that are dead."""
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(os.getpid())], stdout=subprocess.PIPE, text=True)
    return {int(pid) for pid, state in map(str.split, listed.stdout.splitlines()) if state[0] not in "ZR"}


class Made(Case):
    def test_a_model_is_made_where_spares_follow_each_other(self):
        parent = self.parent(more={"spare_age": 60})
        self.assertFalse(of_model(parent.call("S", ["1"])))
        self.assertFalse(of_model(parent.call("S", ["2"])), "it is in the making")
        end = time.monotonic() + 10
        while not of_model(result := parent.call("S", ["3"])):
            self.assertLess(time.monotonic(), end)
        self.assertEqual((result.stdout, result.status), (b"['3']\n", 0))

    def test_there_is_none_where_a_spare_may_not_wait(self):
        parent = self.parent(more={"often": 1e9, "spare_age": 0})
        for _ in range(3):
            self.assertFalse(of_model(parent.call("S")))

    def test_what_one_call_does_no_other_sees(self):
        text = "import sys\nseen = []\nprint(len(seen))\nseen += sys.argv[1:]\nprint(seen)\n"
        parent = self.parent(text, more=AT_ONCE)
        for word in "a", "b", "c":
            result = parent.call("S", [word])
            self.assertTrue(of_model(result))
            self.assertEqual(result.stdout, b"0\n['%s']\n" % word.encode())

    def test_the_pages_that_one_call_wrote_to_the_next_has_as_its_own(self):
        # Each object that is looked at is written to: its references are counted.
        text = (
            "import sys\nmany = [[] for _ in range(20000)]\nword = sys.argv[1]\n"
            "def faults():\n    with open('/proc/self/stat') as file:\n        return int(file.read().split()[9])\n"
            "faults()\nbefore = faults()\nfor one in many:\n    one\nprint(word, faults() - before)\n"
        )
        parent = self.parent(text, more=AT_ONCE)
        taken = []
        for word in "first", "second", "third":
            result = parent.call("S", [word])
            self.assertTrue(of_model(result))
            said, number = result.stdout.decode().split()
            self.assertEqual((said, result.status), (word, 0))
            taken.append(int(number))
        self.assertGreater(taken[0], 100)
        self.assertLess(max(taken[1:]), taken[0] // 4)

    def test_it_leaves_with_its_time_and_another_comes(self):
        parent = self.parent(more={"often": 1e9, "spare_age": 0.4})
        self.assertTrue(of_model(parent.call("S")))
        [model] = children() - {parent.pid}
        self.assertTrue(gone(model))
        os.waitpid(model, 0)
        self.assertTrue(of_model(parent.call("S")))

    def test_it_leaves_with_its_parent(self):
        parent = self.parent(more=AT_ONCE)
        self.assertTrue(of_model(parent.call("S")))
        [model] = children() - {parent.pid}
        parent.close()
        self.assertTrue(gone(model))
        os.waitpid(model, 0)

    def test_it_tells_how_old_what_it_has_run_is(self):
        parent = self.parent(more=AT_ONCE)
        parent.call("S")
        time.sleep(0.2)
        [line] = [line for line in parent.call("S").lines if line.startswith("waiting")]
        self.assertGreaterEqual(int(re.search(r'"age": (\d+)', line)[1]), 200)

    def test_where_its_files_have_changed_the_daemon_asks_for_one_that_runs_them_now(self):
        self.file("helper.py", "VERSION = ''\n")
        parent = self.parent("import sys, helper\nsys.argv[1:]\nprint(helper.VERSION)\n", more=AT_ONCE)
        for version in range(1, 5):
            result = parent.call("S")
            # A plugin whose files change all the time has no model after three.
            self.assertEqual(of_model(result), version <= 3)
            # Of another length each time, or Python itself would take what it has compiled within the same second.
            self.file("helper.py", "VERSION = '%s'\n" % ("x" * version))
            own = parent.call("O")
            self.assertEqual((of_model(own), own.stdout), (False, b"x" * version + b"\n"))

    def test_chance_is_each_call_s_own(self):
        parent = self.parent("import random, sys\nsys.argv[1:]\nprint(random.random())\n", more=AT_ONCE)
        results = [parent.call("S") for _ in range(4)]
        self.assertTrue(all(map(of_model, results)))
        self.assertEqual(len({result.stdout for result in results}), 4)


    def test_a_fork_beside_it_has_none_of_its_descriptors(self):
        text = "import os, sys\nsys.argv[1:]\nprint(sorted(os.listdir('/proc/self/fd')))\n"
        parent = self.parent(text, more=AT_ONCE)
        alone = self.parent(text)
        expected = alone.call("F").stdout
        self.assertTrue(of_model(result := parent.call("S")))
        self.assertEqual((result.stdout, parent.call("F").stdout), (expected, expected))


DIFFERING = {
    "clock": "import time\nwhen = time.time()\n",
    "date": "import datetime\nwhen = datetime.datetime.now()\n",
    "subclassed": "import datetime\nclass Day(datetime.date):\n    pass\nwhen = Day.today()\n",
    "process": "import os\nown = os.getpid()\n",
    "thread": "import threading\nown = threading.get_native_id()\n",
    "chance": "import random\none = random.random()\n",
    "seeded": "import random\nrandom.seed(3)\n",
    "generator": "import random\none = random.Random()\n",
    "uuid": "import uuid\none = uuid.uuid4()\n",
    "secret": "import secrets\none = secrets.token_hex()\n",
    "file": "text = open(__file__).read()\n",
    "path": "import pathlib\ntext = pathlib.Path(__file__).read_text()\n",
    "exists": "import os\nthere = os.path.exists('state')\n",
    "listed": "import os\nnames = os.listdir()\n",
    "device": "text = open('/dev/urandom', 'rb').read(4)\n",
    "system": "text = open('/proc/uptime').read()\n",
    "kept": "import os\nends = os.pipe()\n",
    "shared": "import mmap\nmemory = mmap.mmap(-1, 10)\n",
    "socket": "import socket\none = socket.socket()\n",
    "database": "import sqlite3\none = sqlite3.connect(':memory:')\n",
    "native": "import ctypes\nown = ctypes.CDLL(None).getpid()\n",
    "profiled": "import sys\nsys.setprofile(None)\n",
    "traced": "import sys\nsys.settrace(lambda *_: None)\n",
    "collector": "import gc\ngc.disable()\n",
    "after_fork": "import os\nos.register_at_fork(after_in_child=print)\n",
    "elsewhere": "import helper\n",
}


class NotMade(Case):
    """None of these may be shared by calls."""


def refused(text):
    def test(self):
        self.file("helper.py", "import time\nwhen = time.time()\n")
        parent = self.parent(text + "import sys\nprint(sys.argv[1:])\n", more=AT_ONCE)
        for word in "a", "b":
            result = parent.call("S", [word])
            self.assertFalse(of_model(result))
            self.assertEqual((result.stdout, result.status), (b"['%s']\n" % word.encode(), 0))
        self.assertEqual(children() - {parent.pid}, set())

    return test


for name, source in DIFFERING.items():
    setattr(NotMade, "test_" + name, refused(source))

if __name__ == "__main__":
    unittest.main()
