"""Asks a plugin's own argparse parser what the plugin takes.

Python imports this file by itself at the start of a plugin, because the daemon puts its directory first on PYTHONPATH.
It takes every trace of that out of the process, lets the `sitecustomize` that would have been imported otherwise
run, and waits for argparse. The first real parse then writes the parser's tree (`catalog::parser_tree`) to
SMCP_PROBE_OUT. A parser that knows `--describe`, and was given it, goes on to print its contract; any other ends there.

With SMCP_PROBE_LINES, a file with a list of command lines, that parse reads those lines instead of its own, writes what
it made of each, and ends there: none of them is in `sys.argv`, so none can reach the plugin's commands.

Whatever goes wrong in here, the plugin runs on as if nothing had been asked. Runs on Python 3.6 and later, so the
syntax is old; imports what is loaded anyway, and the rest only once a parser is seen.
"""

import os
import sys

MAX_DEPTH = 8
MAX_ACTIONS = 2000  # commands count too
MAX_CHOICES = 500

SUPPRESS = "==SUPPRESS=="
KINDS = {
    "_StoreAction": "store",
    "_StoreConstAction": "store_const",
    "_StoreTrueAction": "store_true",
    "_StoreFalseAction": "store_false",
    "_AppendAction": "append",
    "_AppendConstAction": "append_const",
    "_ExtendAction": "extend",  # 3.8
    "_CountAction": "count",
    "BooleanOptionalAction": "boolean_optional",  # 3.9
    "_HelpAction": "help",
    "_VersionAction": "version",
    "_SubParsersAction": "subcommands",
}
# What these are does not depend on how they go about it, so a subclass with a `__call__` of its own is still one.
STRUCTURAL = ("help", "version", "subcommands")


# --- Coming in unseen


def start():
    """Cleans the process of the probe and, if the daemon asked for a tree, waits for argparse."""
    here = os.path.abspath(os.path.dirname(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    sys.path_importer_cache.pop(here, None)

    out = os.environ.pop("SMCP_PROBE_OUT", None)
    lines = os.environ.pop("SMCP_PROBE_LINES", None)
    home = os.environ.pop("SMCP_PROBE_DIR", here)
    had_path = os.environ.pop("SMCP_PROBE_PYTHONPATH", None) is not None
    if "PYTHONPATH" in os.environ:
        # Taken out rather than put back: a wrapper script may have added entries on the way.
        entries = os.environ["PYTHONPATH"].split(os.pathsep)
        rest = os.pathsep.join(entry for entry in entries if entry not in (here, home))
        if rest or had_path:
            os.environ["PYTHONPATH"] = rest
        else:
            del os.environ["PYTHONPATH"]

    if out:
        watch = Watch(os.path.abspath(out), lines)
        if "argparse" in sys.modules:  # imported by a `.pth` file, before any sitecustomize
            watch.patch(sys.modules["argparse"])
        else:
            sys.meta_path.insert(0, Finder(watch))


class Finder:
    """Hands `argparse`, whenever it is first imported, to the watch; to every other import it is not there."""

    def __init__(self, watch):
        self.watch = watch

    def find_spec(self, name, path=None, target=None):
        if name != "argparse":
            return None
        try:
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                spec = find(name, path, target) if find and finder is not self else None
                if spec is not None:
                    self.hook(spec.loader)
                    return spec
        except Exception:
            pass
        return None

    def hook(self, loader):
        execute = loader.exec_module

        def exec_module(module):
            loader.__dict__.pop("exec_module", None)
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            try:
                self.watch.patch(module)
            except Exception:
                pass

        loader.exec_module = exec_module


# --- Waiting for the parse


class Watch:
    """Stands before argparse's entries until a real parse has been seen."""

    def __init__(self, out, lines=None):
        self.out = out
        self.lines = lines
        self.pid = os.getpid()
        self.active = False
        self.patched = {}

    def patch(self, argparse):
        self.argparse = argparse
        # `parse_args` and `parse_intermixed_args` come through these. The intermixed one needs an entry of its own:
        # it disfigures the positionals before it calls the other.
        for name in ("parse_known_args", "parse_known_intermixed_args"):
            original = argparse.ArgumentParser.__dict__.get(name)
            if original is not None:
                self.patched[name] = original
                setattr(argparse.ArgumentParser, name, self.entry(original))
        self.active = True

    def entry(self, original):
        def parse(parser, args=None, namespace=None):
            # A forked child of the plugin is not the plugin.
            if not self.active or os.getpid() != self.pid:
                return original(parser, args, namespace)
            self.active = False  # the parses of subparsers belong to this one
            if args is not None:
                args = list(args)  # as argparse does next; an iterator can be read only once
            if self.lines is not None:
                goes_on = self.rehearse(parser, original)
            else:
                goes_on = self.see(parser, args)
            if not goes_on:
                self.restore()
                return original(parser, args, namespace)
            try:
                return original(parser, args, namespace)
            finally:
                self.active = True

        parse.__name__ = original.__name__
        parse.__qualname__ = original.__qualname__
        parse.__doc__ = original.__doc__
        return parse

    def restore(self):
        for name, original in self.patched.items():
            setattr(self.argparse.ArgumentParser, name, original)

    def rehearse(self, parser, original):
        """Lets the parser read each line and writes what came of it; returns only from a parse that is not the real one."""
        if is_preparser(self.argparse, parser) or is_importing():
            return True
        try:
            import json

            with open(self.lines, encoding="utf-8") as file:
                lines = json.load(file)
            write(self.out, {
                "probe": 1,
                "provisional": False,
                "rehearsed": [Rehearsal(self.argparse).read(parser, original, line) for line in lines],
            })
        except (Exception, SystemExit):
            pass
        leave()  # in any case: this run is for the parser alone

    def see(self, parser, args):
        """Writes the tree and tells whether to go on watching; does not return if that was all that was wanted."""
        try:
            provisional = is_preparser(self.argparse, parser) or is_importing()
            describes = "--describe" in parser._option_string_actions
            reader = Reader(self.argparse)
            write(self.out, {
                "probe": 1,
                "python": "%d.%d.%d" % sys.version_info[:3],
                "prog": clean(parser.prog) or "",
                "describes": describes,
                "provisional": provisional,
                "parser": reader.parser(parser, 0),
                "truncated": reader.truncated,
            })
            if provisional:
                return True
            if not describes or "--describe" not in (sys.argv[1:] if args is None else args):
                leave()
        except (Exception, SystemExit):  # a type or formatter of the plugin's own may well end in SystemExit
            pass
        return False


def is_preparser(argparse, parser):
    """Tells whether this is only a first look at the root options, with the full parse still to come.

    Such a parse runs for real; its tree stays in the file only if no other parse follows.
    """
    nested = any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
    return not nested and not parser.add_help


def is_importing():
    """Tells whether the parse happens inside an import: a library's own business, or a program run by importing it."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def write(out, document):
    """Writes the whole file or none of it; a later call replaces what an earlier one wrote."""
    import json

    data = json.dumps(document, allow_nan=False).encode("ascii")
    draft = "%s.%d" % (out, os.getpid())
    try:
        # For the owner alone: a default may well be a secret from the environment.
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        os.replace(draft, out)
    except OSError:
        try:
            os.unlink(draft)
        except OSError:
            pass
        raise


def leave():
    """Ends the process with status 0.

    With `_exit`, since the plugin must not notice: an `except SystemExit` or a `finally` around its parse would carry
    on with no arguments, an exit handler would save state that was never loaded, a thread would be waited for. The
    two streams are flushed because what the plugin has said so far is the daemon's to see.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(0)


# --- Rehearsing


class Rehearsal:
    """What a parser makes of one command line: who took which words, and what the namespace holds at the end."""

    def __init__(self, argparse):
        self.argparse = argparse
        self.calls = []

    def read(self, parser, original, line):
        import io

        kind = self.argparse.ArgumentParser
        get_values = kind._get_values

        def recorded(this, action, words):
            if not isinstance(action, self.argparse._SubParsersAction):
                self.calls.append({
                    "flags": [str(flag) for flag in action.option_strings],
                    "dest": str(action.dest),
                    "words": [exact(word) for word in words],
                })
            return get_values(this, action, words)

        streams = sys.stdout, sys.stderr
        said = io.StringIO()
        sys.stdout = sys.stderr = said
        kind._get_values = recorded
        values, extras, error = {}, [], None
        try:
            namespace, extras = original(parser, list(line), None)
            values = {str(key): shown(value) for key, value in vars(namespace).items()}
        except SystemExit as ended:
            error = (said.getvalue().strip().splitlines() or ["it ended with %s" % ended.code])[-1]
        except Exception as raised:
            error = "%s: %s" % (type(raised).__name__, raised)
        finally:
            kind._get_values = get_values
            sys.stdout, sys.stderr = streams
        return {
            "calls": self.calls,
            "extras": [exact(word) for word in extras],
            "values": values,
            "error": error if error is None else exact(error),
        }


def exact(text):
    return str(text).encode("utf-8", "replace").decode("utf-8")


def shown(value):
    """Returns the value if JSON has it, each item of a list by itself; else its text."""
    try:
        return plain(value)
    except Exception:
        pass
    if isinstance(value, (list, tuple)) and len(value) <= MAX_CHOICES:
        return [shown(item) for item in value]
    try:
        return {"text": exact(value)}
    except Exception:
        return {"text": ""}


# --- Reading the parser


class Unsayable(Exception):
    """The value has no JSON that would mean the same."""


class Reader:
    """Turns a parser into plain values, up to fixed limits."""

    def __init__(self, argparse):
        self.kinds = {getattr(argparse, name): kind for name, kind in KINDS.items() if hasattr(argparse, name)}
        self.left = MAX_ACTIONS
        self.truncated = False

    def spend(self):
        if self.left <= 0:
            self.truncated = True
            return False
        self.left -= 1
        return True

    def parser(self, parser, depth):
        help_of = Help(parser)
        actions, index = [], {}
        for action in parser._actions:
            if not self.spend():
                break
            index[id(action)] = len(actions)
            actions.append(self.action(parser, action, help_of, depth))
        exclusive = []
        for group in parser._mutually_exclusive_groups:
            members = [index[id(action)] for action in group._group_actions if id(action) in index]
            exclusive.append({"required": bool(group.required), "members": members})
        return {
            "description": help_of.text(parser.description),
            "epilog": help_of.text(parser.epilog),
            "file_prefixes": parser.fromfile_prefix_chars or None,
            "actions": actions,
            "exclusive": exclusive,
        }

    def action(self, parser, action, help_of, depth):
        kind = self.kind(action)
        dest = action.dest
        tree = {
            "dest": "" if dest in (None, SUPPRESS) else clean(dest),
            "flags": [clean(flag) for flag in action.option_strings],
            "kind": kind,
            "type": value_type(parser, action),
            "nargs": nargs(action.nargs),
            "choices": None,
            "default": default(parser, action),
            "required": is_required(action, kind),
            "help": help_of.action(action),
            "hidden": is_suppressed(action.help),
            "metavar": metavar(action.metavar),
            "commands": [],
        }
        if kind == "subcommands":
            tree["commands"], tree["hidden_commands"] = self.commands(action, help_of, depth)
        else:
            tree["choices"] = choices(parser, action)
        return tree

    def kind(self, action):
        for base in type(action).__mro__:
            kind = self.kinds.get(base)
            if kind is not None:
                kept = type(action).__call__ is base.__call__
                return kind if kept or kind in STRUCTURAL else "custom"
        return "custom"

    def commands(self, action, help_of, depth):
        """Returns the commands and, apart from them, those that the author hid."""
        if depth + 1 >= MAX_DEPTH:
            self.truncated = True
            return [], []
        # Only a command that was given a `help` has an entry here.
        entries = {entry.dest: entry for entry in action._choices_actions}
        shown, hidden, seen = [], [], {}
        for name, subparser in action._name_parser_map.items():
            if id(subparser) in seen:
                seen[id(subparser)]["aliases"].append(clean(name))
                continue
            if not self.spend():
                break
            entry = entries.get(name)
            command = {
                "name": clean(name),
                "aliases": [],
                "help": help_of.action(entry) if entry else None,
                "parser": self.parser(subparser, depth + 1),
            }
            seen[id(subparser)] = command
            (hidden if entry and is_suppressed(entry.help) else shown).append(command)
        return shown, hidden


class Help:
    """Help as one parser would print it, less the wrapping."""

    def __init__(self, parser):
        self.prog = parser.prog
        self.formatter = None
        # A width spares the formatter a look at the terminal, and the import of shutil for that.
        for options in ({"width": 4000}, {}):
            try:
                self.formatter = parser.formatter_class(prog=parser.prog, **options)
                if hasattr(self.formatter, "_set_color"):  # 3.14
                    self.formatter._set_color(False)
                break
            except Exception:
                pass  # a plugin's own class or lambda may take `prog` alone

    def action(self, action):
        if action.help is None or is_suppressed(action.help):
            return None
        try:
            if not has_stray_percent(action.help):
                return clean(self.formatter._expand_help(action))
        except Exception:
            pass
        return clean(action.help)

    def text(self, text):
        if text is None or is_suppressed(text):
            return None
        text = str(text)
        if "%(prog)" in text and not has_stray_percent(text):
            try:
                text = text % {"prog": self.prog}
            except Exception:
                pass
        return clean(text)


def has_stray_percent(text):
    """Tells whether the author meant a plain `%`: "100% sure" would read as `% s` and print everything there is."""
    return "%" in str(text).replace("%%", "").replace("%(", "")


def clean(text):
    """Returns the text without outer blanks and without what JSON cannot carry, or None if nothing is left."""
    return str(text).encode("utf-8", "replace").decode("utf-8").strip() or None


def is_suppressed(help):
    return isinstance(help, str) and help == SUPPRESS


def is_required(action, kind):
    # For positionals argparse's own answer varies with its version and with `default`.
    if action.option_strings or kind == "subcommands":
        return bool(action.required)
    return action.nargs not in ("?", "*", "...", SUPPRESS, 0)


def value_type(parser, action):
    kind = action.type
    if isinstance(kind, str):
        kind = parser._registry_get("type", kind, kind)
    for known, name in ((None, "string"), (str, "string"), (int, "integer"), (float, "number")):
        if kind is known:
            return name
    return "unknown"


def nargs(value):
    if isinstance(value, int):
        return int(value) if 0 <= value < 2 ** 32 else None
    return value if value in ("?", "*", "+", "...", "A...") else None


def metavar(value):
    if isinstance(value, tuple):
        value = " ".join(str(part) for part in value)
    return clean(value) if isinstance(value, str) else None


def default(parser, action):
    if isinstance(action.default, str) and action.default == SUPPRESS:
        return None
    try:
        return plain(spelled(parser, action, action.default))
    except Exception:
        return None


def choices(parser, action):
    """Returns the choices as a caller would write them; None for none, for too many, or if any cannot be written."""
    try:
        source = action.choices
        if source is None or iter(source) is source:  # an iterator would be used up
            return None
        found = []
        for choice in source:
            choice = plain(spelled(parser, action, choice))
            if choice is None or isinstance(choice, (list, dict)) or len(found) == MAX_CHOICES:
                return None
            found.append(choice)
        return found or None
    except (Exception, SystemExit):
        return None


def spelled(parser, action, value):
    """Returns for an enum member the value or name that the parser reads as that member; anything else as it is."""
    enum = sys.modules.get("enum")
    if enum is None or not isinstance(value, enum.Enum):
        return value
    for spelling in (value.value, value.name, str(value)):
        try:
            if parser._get_value(action, str(spelling)) == value:
                return spelling
        except (Exception, SystemExit):
            pass
    raise Unsayable(value)


def plain(value, depth=0):
    """Returns a copy of the value made of JSON's own types, or raises."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        value.encode("utf-8")  # a lone surrogate ends here
        return str.__str__(value)
    if isinstance(value, int) and -2 ** 63 <= value < 2 ** 64:
        return int(value)
    if isinstance(value, float) and value - value == 0:  # neither infinite nor NaN
        return float(value)
    if depth < MAX_DEPTH and isinstance(value, (list, tuple)) and len(value) <= MAX_CHOICES:
        return [plain(item, depth + 1) for item in value]
    if depth < MAX_DEPTH and isinstance(value, dict) and len(value) <= MAX_CHOICES:
        if all(isinstance(key, str) for key in value):
            return {plain(key): plain(item, depth + 1) for key, item in value.items()}
    raise Unsayable(value)


# --- The start


try:
    start()
except Exception:
    pass
if os.path.abspath(os.path.dirname(__file__)) in [os.path.abspath(entry) for entry in sys.path]:
    raise ImportError("the probe could not step aside", name="sitecustomize")
# The other sitecustomize takes this one's place. Its failure, or there being none, is raised through here to
# site.py, which treats it as it always would; the functions above live on in the finder.
sys.modules.pop("sitecustomize", None)
import sitecustomize  # noqa: E402, F401
