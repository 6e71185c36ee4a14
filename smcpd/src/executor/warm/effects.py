"""A warm worker's program, part 2 of 8: the effects that stop a spare, and what tells of them (see waiting.py).

They are what the interpreter reports to an audit hook as an effect, or as an answer that may differ from call to call
(`EFFECTS`, `Hook`), and some that no version or not every version reports (`UNREPORTED`, `make_late`).
"""

import os
import sys

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
# These tell of nothing outside the process.
HARMLESS = frozenset((
    "builtins.id", "compile", "exec", "function.__new__", "marshal.dumps", "object.__delattr__", "object.__getattr__",
    "object.__setattr__", "os.putenv", "os.unsetenv", "sys._getframe", "sys._getframemodulename",
))  # fmt: skip


class Hook:
    """The audit hook of a spare: waits at effects, and notes what was read and whether anything was imported."""

    def __init__(self, wait):
        self.wait = wait
        self.pending = True
        self.imports = False
        self.strange = None  # what may not come to the same for another call
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
            elif effect not in (not_bytecode, not_cache):
                self.strange = event
        elif event in READS:
            path = text("." if args[0] is None else args[0])
            if path is not None:
                self.note(path)
        elif event not in HARMLESS:
            self.strange = event

    def note(self, path):
        path = os.path.abspath(path)
        if path.startswith(("/proc/", "/sys/", "/dev/")):
            self.strange = path
        elif not is_library(path) and not is_bytecode(path):
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
