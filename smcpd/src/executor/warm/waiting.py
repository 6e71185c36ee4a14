"""A warm worker's program, part 1 of 8: what stops a spare, and what it was made of when it stopped.

The daemon sends waiting.py, effects.py, child.py, model.py, pages.py, running.py, preparing.py and parent.py, in this order, as
one program (`bootstrap.py` reads it).

A *spare* runs the plugin's code ahead of the call, up to the first thing that belongs to a call. Here is what that is:
`sys.argv` (`late_list`) and the variables a call brings (`late_environment`); effects.py has the rest. Each calls
`wait`, which comes back when the call is there; from then on nothing in here does anything.

To wait once too often costs a little time; to wait too late lets a call that was never made leave its traces. In doubt
it waits. Runs on CPython 3.8 and later.
"""

import gc
import os
import sys

started = set(sys.modules) - {"_socket"}  # what a fresh interpreter has loaded; that one came with the bootstrap

import ctypes  # noqa: E402


# --- Objects that wait


def become(thing, kind):
    """Makes an instance of a subclass, which adds no fields, an instance of `kind` itself; tells whether it is one now.

    A plugin may keep `sys.argv` under a name of its own, so another list in its place would not do.
    """
    late = type(thing)
    if late.__basicsize__ != kind.__basicsize__ or late.__dictoffset__ != kind.__dictoffset__:
        return False
    # The type is the last field of every object's head, in all builds.
    field = ctypes.c_void_p.from_address(id(thing) + object.__basicsize__ - ctypes.sizeof(ctypes.c_void_p))
    if field.value != id(late):
        return False
    field.value = id(kind)
    return True


class Late:
    """A method that waits when it is looked up, and then is the base class's own.

    So no frame of ours is in the way when it raises: a traceback through here looks as without us.
    """

    def __init__(self, method, wait, at):
        self.method = method
        self.wait = wait
        self.at = at

    def __get__(self, thing, kind):
        if thing is not None:
            self.wait(self.at)
        return self.method.__get__(thing, kind)


def subclass(kind, special, wait, at):
    """Returns a subclass of `kind` whose every method waits first, but for the `special` ones."""

    def reduced(self, *_):
        wait(at)
        return kind, (kind(self),)

    def copied(self, *_):
        wait(at)
        return kind(self)

    # The name and the module are those of `kind`: some messages hold them.
    body = {"__slots__": (), "__module__": "builtins", "__doc__": kind.__doc__}
    for name, method in vars(kind).items():
        if callable(method) and name not in FREE:
            body[name] = Late(method, wait, at)
    body.update({"__reduce_ex__": reduced, "__copy__": copied, "__deepcopy__": copied}, **special)
    return type(kind.__name__, (kind,), body)


FREE = ("__new__", "__getattribute__", "__class_getitem__", "__hash__", "fromkeys")


def late_list(items, wait):
    """Returns a list of `items` that waits before anything but the reading of one of them by its index."""
    known = len(items)

    class Bound:
        def __get__(self, thing, kind):
            return list.__getitem__.__get__(late)

    class Item:
        """What `late[index]` calls: makes the item, or else itself, to fail where an instance is initialized.

        That is again for the sake of the traceback: the method called there is the list's own.
        """

        __init__ = Bound()

        def __new__(cls, index):
            if type(index) is not int or not 0 <= index < known:
                wait("argv")
            try:
                return list.__getitem__(late, index)
            except (IndexError, TypeError):
                return object.__new__(cls)

    class Items:
        def __get__(self, thing, kind):
            return Item

    def added_to(self, other):
        wait("argv")
        return NotImplemented  # so that the other one's own `+` or `+=` does it

    kind = subclass(list, {"__getitem__": Items(), "__radd__": added_to}, wait, "argv")
    late = list.__new__(kind)
    list.extend(late, items)
    return late


def late_environment(items, is_late, wait):
    """Returns the dict behind `os.environ`, which waits before a call's own variables and before all at once."""

    def by_key(method):
        def call(self, key, *args):
            if is_late(key):
                wait("environment " + os.fsdecode(key))
            return method(self, key, *args)

        return call

    names = ("__getitem__", "__contains__", "get", "__setitem__", "__delitem__", "pop", "setdefault")
    special = {name: by_key(getattr(dict, name)) for name in names}
    kind = subclass(dict, special, wait, "environment")
    late = dict.__new__(kind)
    dict.update(late, items)
    return late


# --- Translations


def quick_find():
    """Returns what stands in for `gettext.find` in a spare until it waits, and the files that make it wrong if they come.

    argparse has it look for a translation of each of its own words, which is half of what a small program does before
    it looks at its arguments. Nothing stands in where there is a translation.
    """
    gettext = sys.modules.get("gettext")
    if gettext is None:
        return None, []
    original, place, looked, environ = gettext.find, gettext._default_localedir, [], os.environ
    names = [os.fsencode(name) for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")]

    def first():
        for name in names:
            value = dict.get(environ._data, name)
            if value:
                return value

    class Path:
        join = staticmethod(os.path.join)

        @staticmethod
        def exists(path):
            looked.append(path)
            return os.path.exists(path)

    class System:
        environ = os.environ
        path = Path

    gettext.os = System
    try:
        known = original("messages", all=True)
    finally:
        gettext.os = os
    language = first()

    def find(domain, localedir=None, languages=None, all=False):
        if (
            type(domain) is str and domain == "messages" and all is True and localedir is None and languages is None and spare.pending
            and os.environ is environ and gettext._default_localedir is place and first() == language
        ):
            return []
        return original(domain, localedir, languages, all)

    find.__name__, find.__qualname__, find.__module__ = original.__name__, original.__qualname__, original.__module__
    find.__doc__, find.__wrapped__ = original.__doc__, original
    return (None, []) if known else (find, sorted({absent(path) for path in looked}))


def absent(path):
    """Returns the first of the directories on the way to a file that is not there, or else the file."""
    while True:
        above = os.path.dirname(path)
        if above == path or os.path.isdir(above):
            return path
        path = above


# --- What a spare was made of


LIBRARY = tuple({os.path.dirname(path) + "/" for path in (os.__file__, os.path.realpath(os.__file__))})
NOT_LIBRARY = tuple(place + name for place in LIBRARY for name in ("site-packages/", "dist-packages/"))


def is_library(path):
    """Tells whether the path lies in the standard library, which no plugin changes."""
    return path.startswith(LIBRARY) and not path.startswith(NOT_LIBRARY)


def module_files(known):
    """Returns the files, or else directories, of the modules not named in `known` and not of the standard library."""
    found = set()
    for name, module in list(sys.modules.items()):
        if name in known:
            continue
        # Through the dict, since a lazy module would load itself at a mere question.
        try:
            names = object.__getattribute__(module, "__dict__")
            path = names.get("__file__")
            paths = [path] if path else list(names.get("__path__") or ())
        except Exception:
            continue
        for path in paths:
            if isinstance(path, str) and not is_library(path):
                found.add(os.path.abspath(path))
    return found


PAGE = os.sysconf("SC_PAGE_SIZE")


def resident():
    """Returns this process's resident memory in KiB."""
    fd = os.open("/proc/self/statm", os.O_RDONLY)
    try:
        return int(os.read(fd, 200).split()[1]) * PAGE // 1024
    finally:
        os.close(fd)
