"""A warm worker's program, part 1 of 5: what stops a spare, and how to tell that it stopped.

The daemon sends waiting.py, child.py, running.py, preparing.py and parent.py, in this order, as one program
(`bootstrap.py` reads it).

A *spare* runs the plugin's code ahead of the call, up to the first thing that belongs to a call. Here is what that is:
`sys.argv` (`late_list`), the variables a call brings (`late_environment`), and whatever the interpreter reports to
an audit hook as an effect, or as an answer that may differ from call to call (`EFFECTS`, `Hook`). Each calls `wait`,
which comes back when the call is there; from then on nothing in here does anything.

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


# --- Effects

# What an audit event must be to wait: True is any, a function decides by its arguments. The rest is the plugin's own
# business: code, imports, its directory, its environment, its signal handlers.
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LOCKS = (5, 6, 7, 36, 37, 38, 1024, 1026)  # F_GETLK and on, their OFD kin, F_SETLEASE, F_NOTIFY
LOOKS = (0x5401, 0x5413, 0x541B)  # TCGETS, TIOCGWINSZ, FIONREAD


def is_bytecode(path):
    """Tells whether the import system keeps compiled code there, under its name or the draft's."""
    place, _, name = path.rpartition("/")
    return place.endswith("__pycache__") and ".pyc" in name


def is_cache(path):
    return path.rstrip("/").endswith("__pycache__")


def text(path):
    """Returns a path as a string, or None for a descriptor and what is no path."""
    try:
        return os.fsdecode(path)
    except TypeError:
        return None


def not_bytecode(path, *_):
    path = text(path)
    return path is None or not is_bytecode(path)


def not_cache(path, *_):
    path = text(path)
    return path is None or not is_cache(path)


def names_port(_, address):
    # Port 0 is a try whether the machine has the protocol; nobody can know the port it gets.
    return not (isinstance(address, tuple) and len(address) > 1 and address[1] == 0)


EFFECTS = {
    # Another process or thread comes to be: it would hold the waiting one's descriptors, and no fork follows a thread.
    "subprocess.Popen": True,
    "os.exec": True,
    "os.fork": True,
    "os.forkpty": True,
    "os.posix_spawn": True,
    "os.spawn": True,
    "os.startfile": True,
    "os.system": True,
    "pty.spawn": True,
    "webbrowser.open": True,
    "_thread.start_new_thread": True,
    "_thread.start_joinable_thread": True,
    # Another process is told something.
    "os.kill": True,
    "os.killpg": True,
    "signal.pthread_kill": True,
    "resource.prlimit": True,
    "syslog.syslog": True,
    "socket.sethostname": True,
    # Files change.
    "os.chflags": True,
    "os.chmod": True,
    "os.chown": True,
    "os.link": True,
    "os.mkdir": not_cache,
    "os.remove": not_bytecode,
    "os.removexattr": True,
    "os.rename": not_bytecode,
    "os.rmdir": True,
    "os.setxattr": True,
    "os.symlink": True,
    "os.truncate": True,
    "os.utime": True,
    "shutil.chown": True,
    "shutil.copyfile": True,
    "shutil.copymode": True,
    "shutil.copystat": True,
    "shutil.copytree": True,
    "shutil.make_archive": True,
    "shutil.move": True,
    "shutil.rmtree": True,
    "shutil.unpack_archive": True,
    "tempfile.mkdtemp": True,
    "tempfile.mkstemp": True,
    # A database has locks and a journal, and what it says is the call's to see; one in memory is the plugin's own.
    "sqlite3.connect": lambda database, *_: database != ":memory:",
    # Locks: a spare that waits with one held stops everybody else.
    "fcntl.flock": True,
    "fcntl.lockf": True,
    "fcntl.fcntl": lambda fd, command, *_: command in LOCKS,
    "fcntl.ioctl": lambda fd, request, *_: request not in LOOKS,
    "os.lockf": True,
    # The network: others notice, and what they answer belongs to one call.
    "ftplib.connect": True,
    "http.client.connect": True,
    "imaplib.open": True,
    "nntplib.connect": True,
    "poplib.connect": True,
    "smtplib.connect": True,
    "telnetlib.Telnet.open": True,
    "socket.bind": names_port,
    "socket.connect": True,
    "socket.getaddrinfo": True,
    "socket.gethostbyaddr": True,
    "socket.gethostbyname": True,
    "socket.getnameinfo": True,
    "socket.sendmsg": True,
    "socket.sendto": True,
    "urllib.Request": True,
    # The call's standard input.
    "builtins.input": True,
    # Somebody looks at this process from outside.
    "sys.remote_exec": True,
    "builtins.breakpoint": True,
}

# What no audit event tells of in every version: these are replaced while a spare has not waited.
UNREPORTED = (
    ("_thread", "start_new_thread"),  # reported from 3.12 on
    ("_thread", "start_new"),
    ("threading", "_start_new_thread"),
    ("_posixsubprocess", "fork_exec"),  # multiprocessing uses it as it is
    ("posix", "mkfifo"),
    ("os", "mkfifo"),
    ("posix", "mknod"),
    ("os", "mknod"),
    ("_signal", "alarm"),  # a timer would not wait with the rest
    ("signal", "alarm"),
    ("_signal", "setitimer"),
    ("signal", "setitimer"),
)

# Read, and noted: a change of one of them makes the spare stale.
READS = ("os.listdir", "os.scandir", "os.chdir", "os.walk", "os.fwalk")
# One of these comes with each module that is loaded from a file; the last one in versions that have not the second.
LOADS = ("import", "marshal.loads", "code.__new__")


class Hook:
    """The audit hook of a spare: waits at effects, and notes what was read and whether anything was imported."""

    def __init__(self, wait):
        self.wait = wait
        self.pending = True
        self.imports = False
        self.read = set()
        self.own = ("/proc/self", "/proc/thread-self", "/proc/%d" % os.getpid())

    def __call__(self, event, args):
        if not self.pending:
            return
        if event == "open":
            path, _, flags = args
            path = text(path)
            if path is None or path == os.devnull:
                return
            if path.startswith(self.own) or flags & WRITING and not is_bytecode(path):
                self.wait("event open")
            else:
                self.note(path)
            return
        if event in LOADS:
            self.imports = True
            return
        effect = EFFECTS.get(event)
        if effect is not None:
            if effect is True or effect(*args):
                self.wait("event " + event)
        elif event in READS:
            path = text("." if args[0] is None else args[0])
            if path is not None:
                self.note(path)

    def note(self, path):
        path = os.path.abspath(path)
        if not path.startswith(("/proc/", "/sys/", "/dev/")) and not is_library(path) and not is_bytecode(path):
            self.read.add(path)


def make_late(wait, find):
    """Returns functions that put something that waits in the place of each of UNREPORTED, and take it away again.

    `find`, if any, is what stands in for gettext's.
    """
    laid, places, made = {}, [], {}

    def late(name, function):
        def call(*args, **options):
            wait("event " + name)
            return function(*args, **options)

        return call

    for where, name in UNREPORTED:
        module = sys.modules.get(where)
        function = getattr(module, name, None)
        if function is not None:
            if function not in made:
                made[function] = late(where + "." + name, function)
                laid[made[function]] = function
            places.append((module, name, made[function]))
    if find is not None:
        laid[find] = find.__wrapped__
        places.append((sys.modules["gettext"], "find", find))

    def lay():
        for module, name, function in places:
            setattr(module, name, function)

    def lift():
        # Also from a module that was imported since and took one over.
        for where, name in UNREPORTED + (("gettext", "find"),):
            function = getattr(sys.modules.get(where), name, None)
            if function in laid:
                setattr(sys.modules[where], name, laid[function])

    return lay, lift


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


PAGE = os.sysconf("SC_PAGE_SIZE") // 1024


def resident():
    """Returns this process's resident memory in KiB."""
    fd = os.open("/proc/self/statm", os.O_RDONLY)
    try:
        return int(os.read(fd, 200).split()[1]) * PAGE
    finally:
        os.close(fd)
