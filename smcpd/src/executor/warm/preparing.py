"""A warm worker's program, part 7 of 8: what a parent does once, for all its children (waiting.py tells the order).

`prepare` imports the standard library's modules that the plugin's sources import, by their syntax trees: nothing of
the plugin runs. It fills what the library fills at first use, and imports what the operator named. The rest brings the
process to the state that a script finds at its start, or finds out that it cannot be had (`Unfit`).
"""

import os
import sys

import _imp
import importlib.util
import json
import marshal
import posix
from _io import BufferedWriter, TextIOWrapper

FILES = 200
BYTES = 2 << 20
AST_ONLY = 0x400

# Not for importing ahead: they greet, open a browser or a window, or set a terminal up.
NEVER = {
    "__main__", "this", "antigravity", "idlelib", "turtle", "turtledemo", "tkinter", "_tkinter", "test", "readline",
    "rlcompleter", "__hello__", "__phello__", "site", "sitecustomize", "usercustomize", "lib2to3", "ensurepip",
}


class Unfit(Exception):
    """The plugin has to be started cold; the text is the reason."""


def apart(work):
    """Returns what `work` comes to in a child of its own.

    What it takes of memory, and the interpreter keeps, is none of this process's then: each fork has to pay for that.
    """
    ends = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open(ends[1], "wb") as file:
                marshal.dump(work(), file)
        finally:
            os._exit(0)
    os.close(ends[1])
    with open(ends[0], "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    return marshal.loads(data) if data else None


# --- What the plugin imports


class Sources:
    """The imports of a script and of the files beside it that it could import, as their syntax trees have them."""

    def __init__(self, root):
        self.root = root
        self.found = {}  # module: the names taken from it
        self.seen = set()
        self.bytes = 0
        self.strptime = False

    def read(self, path, package=""):
        if path in self.seen or len(self.seen) >= FILES or self.bytes >= BYTES:
            return
        self.seen.add(path)
        try:
            with open(path, "rb") as file:
                data = file.read(BYTES - self.bytes + 1)
        except OSError:
            return
        self.bytes += len(data)
        if self.bytes > BYTES:
            return
        self.strptime = self.strptime or b"strptime" in data
        import warnings

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # each call gives its own
                tree = compile(data, path, "exec", AST_ONLY, True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
        imports = []
        self.walk(tree.body, imports)
        del tree
        for name, taken, level in imports:
            if level:
                base = package.split(".")[: len(package.split(".")) - level + 1] if package else []
                name = ".".join(base + [name] if name else base)
                if not name:
                    continue
            if not self.own(name, taken):
                self.found.setdefault(name, set()).update(taken)

    def walk(self, body, imports):
        """Collects imports; only statements are looked at, since no import is within an expression."""
        for node in body:
            kind = type(node).__name__
            if kind == "Import":
                imports += [(alias.name, (), 0) for alias in node.names]
            elif kind == "ImportFrom":
                imports.append((node.module or "", [alias.name for alias in node.names], node.level))
            else:
                for part in ("body", "orelse", "finalbody", "handlers", "cases"):
                    inner = getattr(node, part, None)
                    if isinstance(inner, list):
                        self.walk(inner, imports)

    def own(self, name, taken):
        """Reads on in the plugin's directory, if the module is there."""
        path = os.path.join(self.root, *name.split("."))
        if os.path.isfile(path + ".py"):
            self.read(path + ".py", name.rpartition(".")[0])
            return True
        if os.path.isfile(path + "/__init__.py"):
            self.read(path + "/__init__.py", name)
            for inner in taken:
                if os.path.isfile(path + "/" + inner + ".py"):
                    self.read(path + "/" + inner + ".py", name)
            return True
        return False


def imports(root):
    """Returns the modules that are imported, each with the names taken from it, and whether dates are read."""
    sources = Sources(root)
    sources.read(settings["script"])
    return {name: sorted(taken) for name, taken in sources.found.items()}, sources.strptime


def shadowed(root):
    """Returns the names of top-level modules that the plugin's directory has."""
    suffixes = sorted(_imp.extension_suffixes() + [".py", ".pyc"], key=len, reverse=True)
    names = set()
    for entry in os.listdir(root):
        for suffix in suffixes:
            if entry.endswith(suffix):
                names.add(entry[: -len(suffix)])
                break
        else:
            if os.path.isfile(os.path.join(root, entry, "__init__.py")):
                names.add(entry)
    return names


def is_standard(name):
    """Tells whether a top-level module is of the standard library, and not of somebody who came first on the path."""
    try:
        origin = importlib.util.find_spec(name).origin
    except (ImportError, AttributeError, ValueError):
        return False
    return origin in ("built-in", "frozen") or origin is not None and is_library(origin)


def import_ahead(name, taken=()):
    """Imports a module of the standard library, unless it has a warning to give: that belongs to each call."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            module = importlib.import_module(name)
            for attribute in taken:
                if not hasattr(module, attribute) and attribute != "*":
                    importlib.import_module(name + "." + attribute)
        except (Exception, SystemExit):
            pass


def preload(names, said):
    """Imports what the operator named. What it prints or warns of, it would print in each call: so it may not."""
    for name in names:
        before = set(sys.modules)
        ends = os.pipe()
        kept = os.dup(1), os.dup(2)
        os.dup2(ends[1], 1)
        os.dup2(ends[1], 2)
        os.set_blocking(ends[0], False)
        os.set_blocking(ends[1], False)
        trouble = None
        try:
            importlib.import_module(name)
            sys.stdout.flush()
            sys.stderr.flush()
        except (Exception, SystemExit) as error:
            trouble = str(error) or type(error).__name__
        for old, fd in zip(kept, (1, 2)):
            os.dup2(old, fd)
            os.close(old)
        os.close(ends[1])
        try:
            printed = os.read(ends[0], 200).decode("utf-8", "replace").strip()
        except BlockingIOError:
            printed = ""
        os.close(ends[0])
        if printed and trouble is None:
            raise Unfit("importing %s prints: %s" % (name, printed.splitlines()[0]))
        if trouble is not None:
            said.append("could not preload %s: %s" % (name, trouble))
            for fresh in set(sys.modules) - before:
                if fresh.partition(".")[0] == name.partition(".")[0]:
                    del sys.modules[fresh]


def warm():
    """Makes the library fill what it fills at first use: argparse's and gettext's patterns, json's encoders."""
    import argparse

    class Mute(argparse.ArgumentParser):
        def _print_message(self, message, file=None):
            pass

        def exit(self, status=0, message=None):
            raise ValueError

    parser = Mute(prog="x", description="words to fill a line with")
    parser.add_argument("--a", type=int, default=1, help="a %(default)s")
    parser.add_argument("--b", action="store_true")
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("one", help="one")
    one.add_argument("c", nargs="*", choices=["d"])
    one.add_argument("--e", required=True, help="words")
    parser.parse_args(["--a", "2", "one", "d", "--e=f"])
    for wrong in (["--help"], ["one"], ["--nothing"], ["one", "--help"]):
        try:
            parser.parse_args(wrong)
        except ValueError:
            pass
    json.loads(json.dumps({"a": [1, 2.5, None, "b\n"]}, indent=2))
    dumps({"a": "b"})


# --- Preparing


def check():
    if sys.implementation.name != "cpython" or sys.version_info < (3, 8):
        raise Unfit("the interpreter is %s %s" % (sys.implementation.name, sys.version.split()[0]))
    if sys.flags.inspect:
        raise Unfit("the interpreter is to stay interactive")


def compiled():
    """Returns the script's source, and its code or None where compiling it warns of something; or why it cannot be."""
    import warnings

    try:
        with open(settings["script"], "rb") as file:
            source = file.read()
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            code = compile(source, settings["script"], "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "%s: %s" % (type(error).__name__, error)
    return source, None if heard else code


def prepare(said):
    """Brings the process to the state that each child begins in."""
    root, first = settings["root"], os.path.dirname(settings["script"])
    if sys.path and sys.path[0] == "":
        del sys.path[0]
        own_path = [first]
    else:
        own_path = []  # PYTHONSAFEPATH
    names = shadowed(first) - started
    standard = getattr(sys, "stdlib_module_names", None)
    hidden = sorted(name for name in names if (name in standard if standard else is_standard(name)))
    if hidden:
        said.append("nothing is imported ahead: the plugin has a module of its own called %s" % hidden[0])
        # What was imported for the parent's own use would stand in the way of the plugin's.
        for name in set(sys.modules) - started:
            del sys.modules[name]
    else:
        found, strptime = apart(lambda: imports(root)) or ({}, False)
        for name, taken in found.items():
            top = name.partition(".")[0]
            if top not in NEVER and not top.startswith(("_test", "_xx")) and is_standard(top):
                import_ahead(name, taken)
        if strptime:
            import_ahead("_strptime")
        if sys.version_info >= (3, 13):
            import_ahead("traceback")  # an uncaught exception is printed with it
        warm()
    sys.path[:0] = own_path
    preload(settings["preload"], said)


def standard_output():
    """Makes `sys.stdout` anew on a pipe: one made on /dev/null believes for good that it can seek."""
    old = sys.stdout
    ends = os.pipe()
    kept = os.dup(1)
    os.dup2(ends[1], 1)
    unbuffered = not isinstance(old.buffer, BufferedWriter)
    buffer = open(1, "wb", 0 if unbuffered else -1, closefd=False)
    (buffer if unbuffered else buffer.raw).name = "<stdout>"
    stream = TextIOWrapper(
        buffer, old.encoding, old.errors, "\n", old.line_buffering, getattr(old, "write_through", unbuffered)
    )
    stream.mode = "w"
    sys.stdout = sys.__stdout__ = stream
    os.dup2(kept, 1)
    for fd in ends + (kept,):
        os.close(fd)


def take_mark():
    """Takes the placeholder out of the environment; returns where it lies in memory, and how long it is."""
    os.environ.pop("SMCP_CALL_ID", None)
    posix.environ.pop(b"SMCP_CALL_ID", None)
    try:
        with open("/proc/self/environ", "rb") as file:
            data = b"\0" + file.read()
        with open("/proc/self/stat", "rb") as file:
            start = int(file.read().rpartition(b")")[2].split()[47])  # env_start
        at = data.find(b"\0SMCP_CALL_ID=")
        if at < 0 or not start:
            return None
        value = at + len(b"\0SMCP_CALL_ID=")
        return start + value - 1, data.index(b"\0", value) - value
    except (OSError, ValueError, IndexError):
        return None


def may_rise():
    """Tells whether a process may come back from the idle class: see sched(7) on RLIMIT_NICE."""
    try:
        with open("/proc/self/limits") as file:
            soft = next(line for line in file if line.startswith("Max nice priority")).split()[3]
        if soft == "unlimited" or int(soft) >= 20 - os.getpriority(os.PRIO_PROCESS, 0):
            return True
        with open("/proc/self/status") as file:
            capable = int(next(line for line in file if line.startswith("CapEff")).split()[1], 16) >> 23 & 1
        with open("/proc/self/uid_map") as file:
            # In a user namespace of its own the capability is not the kernel's.
            return bool(capable) and file.read().split() == ["0", "0", "4294967295"]
    except (OSError, ValueError, StopIteration):
        return False


def refuse_strays():
    """Fails if a child could not begin as a fresh process does."""
    if len(os.listdir("/proc/self/task")) > 1:
        raise Unfit("importing starts threads")
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd != CONTROL:
            try:
                os.fstat(fd)
            except OSError:
                continue  # the listing's own
            raise Unfit("importing leaves a descriptor open: %s" % os.readlink("/proc/self/fd/" + name))
