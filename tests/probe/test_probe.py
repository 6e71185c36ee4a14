"""The probe under every interpreter of SMCP_TEST_PYTHONS (a colon list; by default the one that runs this).

    python3 -m unittest discover -s tests/probe
"""

import functools
import json
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PROBE = os.path.join(ROOT, "smcpd", "src", "catalog", "probe")
PLUGINS = os.path.join(ROOT, "tests", "fixtures", "plugins")
PYTHONS = [python for python in os.environ.get("SMCP_TEST_PYTHONS", sys.executable).split(":") if python]

# Every feature that all versions have in common.
COMMON = """
    # -*- coding: utf-8 -*-
    import argparse, json
    p = argparse.ArgumentParser(prog="tool", description="  About %(prog)s\\n", epilog="100% done")
    p.add_argument("-v", "--verbose", action="count", default=0)
    p.add_argument("--version", action="version", version="1")
    p.add_argument("--dsn", dest="database", metavar="URL", help="where (default: %(default)s)", default="db")
    p.add_argument("--secret", help=argparse.SUPPRESS)
    subs = p.add_subparsers(dest="command")
    subs.required = True
    a = subs.add_parser("alpha", aliases=["a", "al"], help="first of %(prog)s")
    a.add_argument("one", type=int)
    a.add_argument("maybe", nargs="?", type=float, default=0.5)
    a.add_argument("rest", nargs=argparse.REMAINDER)
    a.add_argument("--pair", nargs=2, metavar=("K", "V"), action="append")
    a.add_argument("--many", nargs="+", choices=["x", "y"])
    a.add_argument("--any", nargs="*", default=["q"])
    a.add_argument("--no-cache", dest="cache", action="store_false")
    a.add_argument("--fast", action="store_true", required=True)
    a.add_argument("--level", action="store_const", const=3)
    a.add_argument("--add", action="append_const", const=3)
    a.add_argument("--meta", type=json.loads)
    a.add_argument("--flag", type=bool)
    g = a.add_mutually_exclusive_group(required=True)
    g.add_argument("--left")
    g.add_argument("--right", action="store_true")
    subs.add_parser("bare")
    subs.add_parser("ghost", help=argparse.SUPPRESS)
    p.parse_args()
"""


class Outcome:
    def __init__(self, done, tree):
        self.status, self.out, self.err, self.tree = done.returncode, done.stdout.decode(), done.stderr.decode(), tree

    def action(self, dest):
        return next(action for action in self.tree["parser"]["actions"] if action["dest"] == dest)

    def command(self, *path):
        parser = self.tree["parser"]
        for name in path:
            commands = next(action["commands"] for action in parser["actions"] if action["kind"] == "subcommands")
            command = next(command for command in commands if command["name"] == name)
            parser = command["parser"]
        return command


def each_python(test):
    """Runs the test once for every interpreter."""
    @functools.wraps(test)
    def run(self):
        for python in PYTHONS:
            with self.subTest(python=python):
                test(self, python)
    return run


class ProbeCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.scratch = os.path.realpath(directory.name)

    def version(self, python):
        code = "import sys; print('%d %d' % sys.version_info[:2])"
        return tuple(map(int, subprocess.check_output([python, "-c", code]).split()))

    def write(self, name, source):
        path = os.path.join(self.scratch, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(source).lstrip())
        return path

    def environment(self, extra=()):
        env = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"}
        env.update(extra)
        return env

    def start(self, python, path, args, env, options=()):
        return subprocess.run(
            [python, *options, path, *args], env=env, cwd=self.scratch, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)

    def plain(self, python, source, *args, env=()):
        return Outcome(self.start(python, self.write("cli.py", source), args, self.environment(env)), None)

    def probe(self, python, source, *args, env=(), options=(), out=None):
        path = source if os.path.isabs(source) else self.write("cli.py", source)
        env = self.environment(env)
        out = out or os.path.join(self.scratch, "tree.json")
        if os.path.isfile(out):
            os.unlink(out)
        former = env.get("PYTHONPATH")
        env.update(PYTHONPATH=PROBE + (":" + former if former else ""), SMCP_PROBE_OUT=out, SMCP_PROBE_DIR=PROBE)
        if former is not None:
            env["SMCP_PROBE_PYTHONPATH"] = former
        done = self.start(python, path, args or ["--describe"], env, options)
        tree = None
        if os.path.isfile(out):
            with open(out, "rb") as file:
                tree = json.loads(file.read().decode("ascii"))
        return Outcome(done, tree)

    def assert_silent(self, got):
        self.assertEqual((got.status, got.out, got.err), (0, "", ""))


class ProbeTest(ProbeCase):
    # --- the tree

    def test_every_version_writes_the_same_tree(self):
        trees = set()
        for python in PYTHONS:
            got = self.probe(python, COMMON)
            self.assert_silent(got)
            trees.add(json.dumps(got.tree["parser"], sort_keys=True))
        self.assertEqual(len(trees), 1)

    @each_python
    def test_the_tree_says_what_the_parser_knows(self, python):
        options = {
            "one": dict(flags=[], kind="store", type="integer", nargs=None, required=True),
            "maybe": dict(type="number", nargs="?", default=0.5, required=False),
            "rest": dict(nargs="...", required=False),
            "pair": dict(kind="append", nargs=2, metavar="K V"),
            "many": dict(nargs="+", choices=["x", "y"], required=False),
            "any": dict(nargs="*", default=["q"]),
            "cache": dict(flags=["--no-cache"], kind="store_false", nargs=0, default=True),
            "fast": dict(kind="store_true", required=True, default=False),
            "level": dict(kind="store_const"),
            "add": dict(kind="append_const"),
            "meta": dict(type="unknown"),
            "flag": dict(type="unknown"),
        }
        got = self.probe(python, COMMON)
        head = {key: got.tree[key] for key in ("probe", "prog", "describes", "provisional", "truncated")}
        self.assertEqual(head, dict(probe=1, prog="tool", describes=False, provisional=False, truncated=False))
        self.assertRegex(got.tree["python"], r"^3\.\d+\.\d+$")
        root = got.tree["parser"]
        self.assertEqual((root["description"], root["epilog"]), ("About tool", "100% done"))
        self.assertEqual(
            [action["kind"] for action in root["actions"]],
            ["help", "count", "version", "store", "store", "subcommands"])
        self.assertEqual(got.action("database"), dict(
            dest="database", flags=["--dsn"], kind="store", type="string", nargs=None, choices=None, default="db",
            required=False, help="where (default: db)", hidden=False, metavar="URL", commands=[]))
        self.assertEqual([got.action("secret")[key] for key in ("hidden", "help")], [True, None])
        commands = got.action("command")
        self.assertEqual((commands["nargs"], commands["required"]), ("A...", True))
        self.assertEqual(
            [(command["name"], command["aliases"], command["help"]) for command in commands["commands"]],
            [("alpha", ["a", "al"], "first of tool"), ("bare", [], None)])
        self.assertEqual([command["name"] for command in commands["hidden_commands"]], ["ghost"])
        alpha = got.command("alpha")["parser"]
        by_dest = {action["dest"]: action for action in alpha["actions"]}
        for dest, wanted in options.items():
            self.assertEqual({key: by_dest[dest][key] for key in wanted}, wanted, dest)
        names = [action["dest"] for action in alpha["actions"]]
        self.assertEqual(
            alpha["exclusive"], [dict(required=True, members=[names.index("left"), names.index("right")])])

    def test_fixtures_tell_the_same_tree_in_every_version(self):
        for plugin in ("shapes", "describe_v1", "nested", "heavy"):
            trees = set()
            for python in PYTHONS:
                if self.version(python) < (3, 8):
                    continue
                got = self.probe(python, os.path.join(PLUGINS, plugin, "cli.py"))
                self.assertEqual((got.status, got.err), (0, ""))
                if plugin == "shapes":  # 3.9
                    actions = got.command("send")["parser"]
                    actions["actions"] = [item for item in actions["actions"] if item["kind"] != "boolean_optional"]
                    actions["exclusive"] = []
                trees.add(json.dumps(got.tree["parser"], sort_keys=True))
            self.assertLessEqual(len(trees), 1, plugin)

    @each_python
    def test_boolean_optional_and_extend_are_seen_where_they_exist(self, python):
        if self.version(python) < (3, 9):
            return
        got = self.probe(python, """
            import argparse
            p = argparse.ArgumentParser()
            p.add_argument("--color", action=argparse.BooleanOptionalAction)
            p.add_argument("--more", action="extend", nargs="+")
            p.parse_args()
        """)
        self.assertEqual(got.action("color")["kind"], "boolean_optional")
        self.assertEqual(got.action("color")["flags"], ["--color", "--no-color"])
        self.assertEqual(got.action("more")["kind"], "extend")

    @each_python
    def test_own_action_classes_are_custom_unless_they_act_as_their_base(self, python):
        got = self.probe(python, """
            import argparse
            class Same(argparse._AppendAction): pass
            class Other(argparse._StoreAction):
                def __call__(self, *args): pass
            class Bare(argparse.Action): pass
            class Subs(argparse._SubParsersAction):
                def __call__(self, *args): pass
            p = argparse.ArgumentParser()
            p.register("action", "parsers", Subs)
            p.add_argument("--same", action=Same)
            p.add_argument("--other", action=Other)
            p.add_argument("--bare", action=Bare, nargs=0)
            p.add_subparsers(dest="subs").add_parser("go")
            p.parse_args()
        """)
        kinds = {action["dest"]: action["kind"] for action in got.tree["parser"]["actions"]}
        self.assertEqual(
            kinds, dict(help="help", same="append", other="custom", bare="custom", subs="subcommands"))

    @each_python
    def test_choices_are_what_a_caller_may_write(self, python):
        table = [
            ("choices=['a', 'b']", ["a", "b"]),
            ("type=int, choices=range(3)", [0, 1, 2]),
            ("choices={'k': 1}", ["k"]),
            ("choices='ab'", ["a", "b"]),
            ("type=Color, choices=list(Color)", ["red", "blue"]),
            ("type=Color.__getitem__, choices=Color", ["RED", "BLUE"]),
            ("type=lambda s: Size(int(s)), choices=list(Size)", [1, 2]),
            ("choices=Color", None),
            ("type=int, choices=range(501)", None),
            ("choices=[()]", None),
            ("choices=[None, 'a']", None),
            ("choices=[]", None),
            ("choices=Has()", None),
            ("choices=iter('ab')", None),
            ("choices=itertools.cycle('ab')", None),
            ("choices=['\\udc80']", None),
            ("type=float, choices=[float('nan')]", None),
        ]
        lines = "".join("p.add_argument('--x%d', metavar='X', %s)\n" % (n, text) for n, (text, _) in enumerate(table))
        source = textwrap.dedent("""
            import argparse, enum, itertools
            class Color(enum.Enum): RED = "red"; BLUE = "blue"
            class Size(enum.IntEnum): S = 1; L = 2
            class Has:
                def __contains__(self, item): return True
            p = argparse.ArgumentParser()
        """) + lines + "p.parse_args()\n"
        got = self.probe(python, source)
        self.assertEqual(got.err, "")
        for number, (text, wanted) in enumerate(table):
            self.assertEqual(got.action("x%d" % number)["choices"], wanted, text)

    @each_python
    def test_defaults_that_json_cannot_carry_are_left_out(self, python):
        table = [
            ("default='ünï'", "ünï"), ("default=-7", -7), ("default=(1, 'a')", [1, "a"]),
            ("default={'k': [True]}", {"k": [True]}),
            ("default='\\ud800'", None), ("default=b'x'", None),
            ("default=float('inf')", None), ("default=10**400", None),
            ("default={1: 2}", None), ("default={1, 2}", None), ("default=loop", None), ("default=print", None),
            ("default=argparse.SUPPRESS", None), ("default=Evil()", None), ("default=Evil, type=Evil()", None),
            ("type=Color, default=Color.RED", "red"), ("default=Text('t')", "t"), ("default=Number(5)", 5),
        ]
        lines = "".join("p.add_argument('--x%d', %s)\n" % (n, text) for n, (text, _) in enumerate(table))
        source = textwrap.dedent("""
            # -*- coding: utf-8 -*-
            import argparse, enum
            class Color(enum.Enum): RED = "red"
            class Evil:
                def fail(self, *args): raise SystemExit(9)
                __hash__ = object.__hash__
                __repr__ = __str__ = __eq__ = __call__ = __iter__ = __len__ = __bool__ = fail
            class Text(str):
                def __str__(self): return "wrong"
            class Number(int): pass
            loop = []; loop.append(loop)
            p = argparse.ArgumentParser()
        """) + lines + "p.parse_args()\n"
        got = self.probe(python, source)
        self.assert_silent(got)
        for number, (text, wanted) in enumerate(table):
            self.assertEqual(got.action("x%d" % number)["default"], wanted, text)

    @each_python
    def test_help_is_expanded_where_it_can_be(self, python):
        table = [
            ("help=' of %(prog)s '", "of tool"), ("help='is %(default)r', default=3", "is 3"),
            ("help='%(type)s', type=int", "int"),
            ("help='one of %(choices)s', choices=['a', 'b']", "one of a, b"),
            ("help='größer 漢字 \\U0001f600'", "größer 漢字 😀"),
            ("help='half \\udc80'", "half ?"), ("help='50%% off'", "50% off"), ("help=''", None), ("help=None", None),
        ]
        lines = "".join("p.add_argument('--x%d', %s)\n" % (n, text) for n, (text, _) in enumerate(table))
        source = "import argparse\np = argparse.ArgumentParser('tool')\n" + lines + "p.parse_args()\n"
        got = self.probe(python, source, env={"FORCE_COLOR": "1"})
        for number, (text, wanted) in enumerate(table):
            self.assertEqual(got.action("x%d" % number)["help"], wanted, text)

    @each_python
    def test_a_hostile_help_string_stays_as_its_author_wrote_it(self, python):
        # Set behind the parser's back, because 3.14 refuses such help itself.
        for help in ("100% sure", "%(nothing)s", "%", "%d %s", "%(default)d"):
            got = self.probe(python, """
                import argparse
                p = argparse.ArgumentParser(description="100%% sure %%(prog)s", epilog="%%(prog)s %%(none)s")
                p.add_argument("--x").help = %r
                p.add_argument("--y", help="fine")
                p.parse_args()
            """ % help)
            self.assertEqual((got.action("x")["help"], got.action("y")["help"]), (help, "fine"))
            root = got.tree["parser"]
            self.assertEqual((root["description"], root["epilog"]), ("100% sure %(prog)s", "%(prog)s %(none)s"))

    @each_python
    def test_formatters_of_any_kind_are_asked(self, python):
        table = [
            ("argparse.ArgumentDefaultsHelpFormatter", "many (default: 3)"),
            ("lambda prog: argparse.ArgumentDefaultsHelpFormatter(prog, max_help_position=9)", "many (default: 3)"),
            ("Broken", "many"),
        ]
        for formatter, wanted in table:
            got = self.probe(python, """
                import argparse
                class Broken(argparse.HelpFormatter):
                    def __init__(self, *args, **kwargs): raise RuntimeError
                p = argparse.ArgumentParser()
                p.add_argument("--n", default=3, help="many")
                p.formatter_class = %s
                p.parse_args()
            """ % formatter)
            self.assertEqual(got.action("n")["help"], wanted)

    @each_python
    def test_a_parser_inside_itself_ends_at_a_fixed_depth(self, python):
        got = self.probe(python, """
            import argparse
            p = argparse.ArgumentParser()
            subs = p.add_subparsers()
            subs.add_parser("in")
            subs._name_parser_map["in"] = subs.choices["in"] = p
            p.parse_args()
        """)
        parser, depth = got.tree["parser"], 1
        while parser["actions"][1]["commands"]:
            parser, depth = parser["actions"][1]["commands"][0]["parser"], depth + 1
        self.assertEqual((depth, got.tree["truncated"]), (8, True))

    @each_python
    def test_a_huge_parser_is_cut_and_says_so(self, python):
        got = self.probe(python, """
            import argparse
            p = argparse.ArgumentParser()
            g = p.add_mutually_exclusive_group()
            for n in range(5000):
                g.add_argument("--x%d" % n)
            p.parse_args()
        """)
        self.assert_silent(got)
        self.assertEqual(len(got.tree["parser"]["actions"]), 2000)
        self.assertEqual(got.tree["parser"]["exclusive"][0]["members"], list(range(1, 2000)))
        self.assertTrue(got.tree["truncated"])

    # --- which parse is the real one

    @each_python
    def test_any_way_into_the_parser_is_seen(self, python):
        table = [
            "p.parse_args()", "p.parse_args(['--n', '1'])", "p.parse_args(iter(['--n']))", "p.parse_known_args()",
            "p.parse_intermixed_args()", "p.parse_known_intermixed_args()", "P().parse_args()",
            "argparse.ArgumentParser.parse_known_args(p, None, argparse.Namespace())",
        ]
        for call in table:
            if "intermixed" in call and self.version(python) < (3, 7):
                continue
            got = self.probe(python, """
                import argparse
                class P(argparse.ArgumentParser):
                    def __init__(self):
                        super().__init__()
                        self.add_argument("--n", type=int)
                        self.add_argument("files", nargs="+")
                    def parse_args(self, args=None, namespace=None):
                        return super().parse_args(args, namespace)
                p = P()
                try:
                    %s
                except SystemExit:
                    pass
                finally:
                    print("went on")
            """ % call)
            self.assert_silent(got)
            self.assertEqual((got.action("n")["type"], got.action("files")["nargs"]), ("integer", "+"))

    @each_python
    def test_root_options_first_then_the_full_parser(self, python):
        source = """
            import argparse
            pre = argparse.ArgumentParser(add_help=False)
            pre.add_argument("--config")
            known, rest = pre.parse_known_args()
            print("pre", known.config, rest)
            full = argparse.ArgumentParser(parents=[pre])
            full.add_subparsers().add_parser("go")
            full.parse_args(rest)
            print("unreached")
        """
        got = self.probe(python, source, "--config", "c", "--help")
        self.assertEqual((got.status, got.out), (0, "pre c ['--help']\n"))
        self.assertEqual([action["dest"] for action in got.tree["parser"]["actions"]], ["help", "config", ""])
        self.assertFalse(got.tree["provisional"])

    @each_python
    def test_a_preparser_with_no_parse_after_it_leaves_its_own_tree(self, python):
        got = self.probe(python, """
            import argparse
            p = argparse.ArgumentParser(add_help=False)
            p.add_argument("--n", type=int)
            print(p.parse_known_args())
        """)
        self.assertEqual((got.status, got.out), (0, "(Namespace(n=None), ['--describe'])\n"))
        self.assertTrue(got.tree["provisional"])
        self.assertEqual(got.action("n")["type"], "integer")

    @each_python
    def test_a_parse_during_an_import_is_the_librarys_own(self, python):
        self.write("library.py", """
            import argparse
            p = argparse.ArgumentParser()
            p.add_argument("--log")
            p.add_subparsers().add_parser("x").add_argument("--deep")
            KNOWN = p.parse_known_args(["--log", "l", "x"])[0].log
        """)
        self.write("program.py", """
            import argparse
            p = argparse.ArgumentParser()
            p.add_argument("--mine")
            p.parse_args()
        """)
        got = self.probe(python, "import library\nprint(library.KNOWN)\n" + "import argparse\n" + textwrap.dedent("""
            p = argparse.ArgumentParser()
            p.add_argument("--mine")
            p.parse_args()
        """))
        self.assertEqual((got.status, got.out), (0, "l\n"))
        self.assertEqual([action["dest"] for action in got.tree["parser"]["actions"]], ["help", "mine"])
        # The parse of its subcommand is part of the same parse.
        got = self.probe(python, "import library\n")
        self.assertEqual([action["dest"] for action in got.tree["parser"]["actions"]], ["help", "log", ""])
        # A program that runs by being imported is found all the same.
        got = self.probe(python, "import program\n", "--help")
        self.assertEqual((got.status, got.action("mine")["dest"], got.tree["provisional"]), (0, "mine", True))
        self.assertIn("--mine", got.out)

    # --- contracts

    @each_python
    def test_a_parser_that_knows_describe_goes_on_and_prints(self, python):
        got = self.probe(python, os.path.join(PLUGINS, "describe_v1", "cli.py"))
        self.assertEqual((got.status, got.err), (0, ""))
        self.assertEqual(len(json.loads(got.out)["commands"]), 3)
        self.assertTrue(got.tree["describes"])
        self.assertEqual(got.command("add-note")["name"], "add-note")
        # Without the option it ends like any other.
        got = self.probe(python, os.path.join(PLUGINS, "describe_v1", "cli.py"), "stats")
        self.assert_silent(got)
        self.assertTrue(got.tree["describes"])

    @each_python
    def test_a_contract_from_an_action_keeps_its_status_and_its_exit_handlers(self, python):
        got = self.probe(python, """
            import argparse, atexit, sys
            class Describe(argparse.Action):
                def __call__(self, parser, *args):
                    print('{"commands": []}')
                    sys.exit(3)
            atexit.register(print, "bye")
            before = argparse.ArgumentParser.parse_known_args.__name__
            p = argparse.ArgumentParser()
            p.add_argument("--describe", action=Describe, nargs=0)
            p.parse_args()
        """)
        self.assertEqual((got.status, got.out, got.err), (3, '{"commands": []}\nbye\n', ""))
        self.assertTrue(got.tree["describes"])

    @each_python
    def test_a_plugin_that_reads_argv_first_prints_its_contract_and_tells_its_tree_on_help(self, python):
        path = os.path.join(PLUGINS, "argv_first", "cli.py")
        if self.version(python) < (3, 8):
            return
        got = self.probe(python, path)
        self.assertEqual((got.status, got.err, got.tree), (0, "", None))
        self.assertEqual(len(json.loads(got.out)["commands"]), 2)
        got = self.probe(python, path, "--help")
        self.assert_silent(got)
        self.assertEqual(got.command("convert")["name"], "convert")

    # --- not being noticed

    @each_python
    def test_a_plugin_without_argparse_runs_as_it_always_would(self, python):
        source = """
            import sys, os, json
            print(json.dumps([sorted(sys.modules), sys.path, dict(os.environ), sys.argv], sort_keys=True))
            sys.exit(7)
        """
        for former in (None, "", self.scratch, self.scratch + "::/nowhere"):
            env = {} if former is None else {"PYTHONPATH": former}
            plain, got = self.plain(python, source, "--describe", env=env), self.probe(python, source, env=env)
            self.assertEqual((got.status, got.out, got.err), (7, plain.out, ""))
            self.assertIsNone(got.tree)

    @each_python
    def test_the_plugins_children_are_not_probed(self, python):
        source = """
            import os, subprocess, sys
            code = "import os, sys; print(sorted(k for k in os.environ if k[:4] in ('SMCP', 'PYTH')), sys.path)"
            subprocess.call([sys.executable, "-c", code])
            """
        for env in ({}, {"PYTHONPATH": "/some/where"}):
            plain, got = self.plain(python, source, env=env), self.probe(python, source, env=env)
            self.assertEqual((got.out, got.err), (plain.out, ""))

    @each_python
    def test_a_forked_child_parses_for_itself(self, python):
        got = self.probe(python, """
            import argparse, os
            p = argparse.ArgumentParser()
            p.add_argument("--n")
            if os.fork() == 0:
                print(p.parse_args(["--n", "1"]).n, flush=True)
                os._exit(0)
            os.wait()
        """)
        self.assertEqual((got.status, got.out, got.tree), (0, "1\n", None))

    @each_python
    def test_entries_that_a_wrapper_added_to_the_path_stay(self, python):
        path = self.write("real.py", "import os, sys\nprint(os.environ['PYTHONPATH'], '/added' in sys.path)\n")
        env = self.environment({
            "PYTHONPATH": "/added:" + PROBE, "SMCP_PROBE_OUT": "tree.json", "SMCP_PROBE_DIR": PROBE})
        self.assertEqual(self.start(python, path, [], env).stdout, b"/added True\n")

    @each_python
    def test_the_sitecustomize_of_the_place_is_imported(self, python):
        table = [
            ("import builtins, os\nbuiltins.CHAINED = [k for k in os.environ if k.startswith('SMCP_')]\n", 0),
            ("import argparse\n", 0),
            ("raise ValueError('broken')\n", 1),
            ("import no_such_module\n", 1),
            ("raise ImportError('nameless')\n", 1),
        ]
        source = """
            import argparse, builtins, sys
            print(getattr(builtins, "CHAINED", None), sys.path)
            print(getattr(sys.modules.get("sitecustomize"), "__file__", None))
            p = argparse.ArgumentParser()
            p.add_argument("--describe", action="store_true")
            p.add_argument("--n")
            p.parse_args()
        """
        for other, complaints in table:
            self.write("site/sitecustomize.py", other)
            env = {"PYTHONPATH": os.path.join(self.scratch, "site")}
            plain, got = self.plain(python, source, "--describe", env=env), self.probe(python, source, env=env)
            self.assertEqual((got.status, got.out, got.err), (plain.status, plain.out, plain.err))
            self.assertEqual("Error in sitecustomize" in got.err, bool(complaints))
            self.assertEqual(got.action("n")["flags"], ["--n"])

    @each_python
    def test_argparse_is_itself_again_when_the_plugin_goes_on(self, python):
        got = self.probe(python, """
            import argparse, sys
            loader = argparse.__spec__.loader
            print("Finder" in [type(finder).__name__ for finder in sys.meta_path], "exec_module" in vars(loader))
            p = argparse.ArgumentParser()
            p.add_argument("--describe", action="store_true")
            p.parse_args()
            print(argparse.ArgumentParser.parse_known_args.__code__.co_filename == argparse.__file__)
        """)
        self.assertEqual((got.status, got.out, got.err), (0, "False False\nTrue\n", ""))

    @each_python
    def test_isolated_interpreters_are_out_of_reach(self, python):
        got = self.probe(python, COMMON, "--help", options=["-I"])
        self.assertEqual((got.status, got.tree), (0, None))
        self.assertTrue(got.out.startswith("usage: tool"))

    # --- going wrong

    @each_python
    def test_a_file_that_cannot_be_written_leaves_the_plugin_alone(self, python):
        source = """
            import argparse
            p = argparse.ArgumentParser()
            p.add_argument("--n")
            print(p.parse_args().n)
        """
        for out in ("/nowhere/tree.json", "/proc/tree.json", self.scratch):
            got = self.probe(python, source, "--n", "5", out=out)
            self.assertEqual((got.status, got.out, got.err), (0, "5\n", ""))
            got = self.probe(python, source, "--describe", out=out)
            self.assertEqual(got.status, 2)
        self.assertEqual(os.listdir(self.scratch), ["cli.py"])

    @each_python
    def test_a_parser_that_cannot_be_read_leaves_the_plugin_alone(self, python):
        got = self.probe(python, """
            import argparse
            class P(argparse.ArgumentParser):
                description = property(lambda self: 1 / 0, lambda self, value: None)
            p = P()
            p.add_argument("--n")
            print(p.parse_args().n)
        """, "--n", "5")
        self.assertEqual((got.status, got.out, got.err, got.tree), (0, "5\n", "", None))

    @each_python
    def test_what_the_plugin_said_before_its_parse_arrives(self, python):
        got = self.probe(python, """
            import argparse, atexit, sys, threading, time
            print("log line")
            sys.stderr.write("note")
            atexit.register(print, "at exit")
            threading.Thread(target=time.sleep, args=(20,)).start()
            argparse.ArgumentParser().parse_args()
        """)
        self.assertEqual((got.status, got.out, got.err), (0, "log line\n", "note"))

    @each_python
    def test_a_stream_that_cannot_be_flushed_does_not_matter(self, python):
        got = self.probe(python, """
            import argparse, sys
            sys.stdout = None
            sys.stderr.close()
            argparse.ArgumentParser().parse_args()
        """)
        self.assert_silent(got)
        self.assertIsNotNone(got.tree)

    @each_python
    def test_an_import_failure_is_the_plugins_own(self, python):
        got = self.probe(python, "import argparse\nimport no_such_module\n")
        self.assertEqual((got.status, got.tree), (1, None))
        self.assertIn("no_such_module", got.err.splitlines()[-1])

    @each_python
    def test_the_tree_is_for_its_owner_alone(self, python):
        self.probe(python, COMMON)
        mode = os.stat(os.path.join(self.scratch, "tree.json")).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["cli.py", "tree.json"])


REHEARSED = """
    import argparse, json, sys
    def small(text):
        if len(text) > 3:
            raise argparse.ArgumentTypeError("too long")
        return text
    p = argparse.ArgumentParser(prog="tool")
    p.add_argument("-v", "--verbose", action="count", default=0)
    subs = p.add_subparsers(dest="command")
    a = subs.add_parser("alpha")
    a.add_argument("first", nargs="?")
    a.add_argument("--meta", type=json.loads)
    a.add_argument("--tag", action="append", default=["old"])
    a.add_argument("--small", type=small)
    a.add_argument("--range", type=lambda text: range(int(text)))
    print("seen", sys.argv[1:])
    p.parse_args()
    open("ran", "w").close()
"""


class RehearsalTest(ProbeCase):
    def rehearse(self, python, source, lines, *args, env=()):
        path = os.path.join(self.scratch, "lines.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(lines, file)
        return self.probe(python, source, *args, env=dict(env, SMCP_PROBE_LINES=path))

    @each_python
    def test_lines_are_read_by_the_parser_and_by_nothing_else(self, python):
        got = self.rehearse(python, REHEARSED, [
            ["-v", "alpha", "--meta={\"a\": 1}", "--tag=x", "--tag=-5", "--", "--help"],
            ["alpha", "--range=3"],
        ])
        self.assertEqual((got.status, got.out, got.err), (0, "seen ['--describe']\n", ""))
        first, second = got.tree["rehearsed"]
        self.assertEqual((first["error"], first["extras"]), (None, []))
        self.assertEqual(first["values"], dict(
            verbose=1, command="alpha", first="--help", meta={"a": 1}, tag=["old", "x", "-5"], small=None, range=None))
        words = [(call["dest"], [word for word in call["words"] if word != "--"]) for call in first["calls"]]
        self.assertEqual(words, [
            ("verbose", []), ("meta", ['{"a": 1}']), ("tag", ["x"]), ("tag", ["-5"]), ("first", ["--help"])])
        self.assertEqual(second["values"]["range"], {"text": "range(0, 3)"})
        # No line reached the plugin, and nothing ran after the parse.
        self.assertEqual(sorted(os.listdir(self.scratch)), ["cli.py", "lines.json", "tree.json"])

    @each_python
    def test_what_the_parser_refuses_is_told_and_does_not_end_the_rest(self, python):
        got = self.rehearse(python, REHEARSED, [
            ["alpha", "--tag"], ["alpha", "--small=longer"], ["alpha", "--meta={"], ["alpha", "--nope"], ["--help"],
            ["alpha"]])
        errors = [line["error"] or " ".join(line["extras"]) for line in got.tree["rehearsed"]]
        for error, expected in zip(errors, [
                "expected one argument", "too long", "invalid", "--nope", "", ""]):
            self.assertIn(expected, error)
        self.assertIsNone(got.tree["rehearsed"][-1]["error"])

    @each_python
    def test_a_first_look_at_root_options_is_not_the_rehearsal(self, python):
        got = self.rehearse(python, """
            import argparse
            pre = argparse.ArgumentParser(add_help=False)
            pre.add_argument("--config")
            pre.parse_known_args()
            p = argparse.ArgumentParser(parents=[pre])
            p.add_argument("--value")
            p.parse_args()
            open("ran", "w").close()
        """, [["--value=7"]])
        self.assertEqual([line["values"] for line in got.tree["rehearsed"]], [dict(config=None, value="7")])
        self.assertNotIn("ran", os.listdir(self.scratch))

    @each_python
    def test_lines_that_cannot_be_read_end_the_run_all_the_same(self, python):
        path = os.path.join(self.scratch, "lines.json")
        with open(path, "w") as file:
            file.write("{")
        got = self.probe(python, REHEARSED, env=dict(SMCP_PROBE_LINES=path))
        self.assertEqual((got.status, got.err, got.tree), (0, "", None))
        self.assertNotIn("ran", os.listdir(self.scratch))


if __name__ == "__main__":
    unittest.main()
