"""A warm worker's program, part 4 of 8: a *model*, a spare that takes no call and is forked into those that do.

Where a plugin is called again and again, what its code does ahead of the call is the same each time. A model does it
once and waits; each spare is then a fork of it, which has nothing left to do. It serves for as long as a spare may
wait, and leaves.

That is the same only where nothing that ran could have come out otherwise for the next call. So a model's code is
watched (`Watch`): it may define, import and compute. Whatever looks at a clock, at chance, at the process, at a file
that is no module, or is not known here makes it no model, and the plugin gets spares of their own.
"""

import os
import sys

import _imp
import _socket
import time

OFTEN = 10.0  # a plugin gets a model when its spares follow each other so closely, in seconds
SLOW = 10.0  # a model that is not there after so long is none
ENOUGH = 3  # after so many whose files changed there is no other

# Modules whose functions, and the methods of whose types, come to the same in each process of one parent.
PURE = frozenset((
    "builtins", "_abc", "_bisect", "_codecs", "_collections", "_collections_abc", "_contextvars", "_csv", "_decimal",
    "_functools", "_heapq", "_imp", "_io", "_json", "_opcode", "_operator", "_sre", "_stat", "_statistics", "_string",
    "_struct", "_typing", "_warnings", "_weakref", "_weakrefset", "array", "atexit", "binascii", "cmath", "collections",
    "contextvars", "decimal", "errno", "functools", "itertools", "marshal", "math", "operator", "re", "struct", "types",
    "typing", "unicodedata", "weakref", "zlib",
))  # fmt: skip
# Of others, these functions. The size of a terminal is that of a pipe, which has none.
ALSO = {
    "_signal": {"getsignal", "signal"},
    "_thread": {"__enter__", "__exit__", "_is_owned", "acquire", "allocate_lock", "get_ident", "locked", "release"},
    "posix": {
        "_path_normpath", "_path_splitroot", "_path_splitroot_ex", "fspath", "get_terminal_size", "getcwd", "putenv",
        "unsetenv",
    },
    "sys": {
        "_getframe", "_getframemodulename", "exc_info", "exception", "getdefaultencoding", "getfilesystemencoding",
        "getfilesystemencodeerrors", "getrecursionlimit", "getsizeof", "intern",
    },
}  # fmt: skip
NOT_PURE = {
    "builtins": {"breakpoint", "input", "open"},
    "_io": {"open", "open_code", "read", "read1", "readall", "readinto", "readline", "readlines"},
}  # fmt: skip
# Ours, and the import system's: the files of modules are looked at before each call.
KNOWN = ("<smcp>", "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


class Watch:
    """A profile function: notes the first function that is not in Python and may come out otherwise.

    It is noted when it is over: one that waits is not, and belongs to the call.
    """

    strange = None

    def __call__(self, frame, event, function):
        if event in ("c_return", "c_exception") and self.strange is None and not self.knows(frame.f_code, function):
            self.strange = repr(function)

    def knows(self, code, function):
        if code.co_filename in KNOWN:
            return True
        owner, name = function.__self__, function.__name__
        if isinstance(owner, type(sys)):
            home = owner.__name__
        else:
            home = getattr(function, "__module__", None)
            kind = owner if isinstance(owner, type) else type(owner)
            for kind in kind.__mro__ if owner is not None else ():
                # One in Python, on the way to it, is what calls it.
                if name in kind.__dict__ and not hasattr(kind.__dict__[name], "__code__"):
                    home = kind.__module__
                    break
        if home in PURE:
            return name not in NOT_PURE.get(home, ())
        if name in ALSO.get(home, ()):
            return True
        # A path in full: what it depends on are the links on the way.
        return home == "posix" and name in ("lstat", "readlink") and code in REALPATH


REALPATH = {
    function.__code__ for function in (os.path.realpath, getattr(os.path, "_joinrealpath", None)) if function is not None
}


def clocks():
    """Returns how far the clock of files is from the one that nobody sets."""
    return time.time() - time.monotonic()


class Model:
    """What a parent has of its model, if it has one: the socket to it."""

    def __init__(self):
        self.socket = None
        self.ready = False
        self.began = self.asked = -OFTEN
        self.outlived = self.clocks = 0
        self.wanted = settings.get("spare_age", 0) > 0 and fork is not None

    def serve(self, descriptor):
        """Has the model make a spare with that channel; tells whether there is one that does."""
        if self.socket is not None and not self.ready:
            self.listen(0)
        if not self.ready:
            return False
        try:
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))
            return self.socket.sendmsg([b"S"], [rights], _socket.MSG_DONTWAIT) == 1
        except OSError:
            self.close()  # it has served its time
            return False

    def listen(self, patience):
        """Hears whether it is ready, or will not be."""
        try:
            self.socket.settimeout(patience)
            said = self.socket.recv(4096)
        except (BlockingIOError, TimeoutError, _socket.timeout):
            if time.monotonic() - self.began < SLOW:
                return
            said = b""
        except OSError:
            said = b""
        self.ready = said == b"ready\n"
        if not self.ready:
            self.wanted = False
            self.close()

    def close(self):
        """Lets go of it. It ends when it notices, or else with the parent, whose group it is in."""
        if self.socket is not None:
            self.socket.close()
        self.socket, self.ready = None, False

    def outdated(self):
        """Lets go of a model whose files have changed; one after the other is none where they change all the time."""
        self.close()
        self.outlived += 1
        self.wanted = self.wanted and self.outlived < ENOUGH

    def consider(self):
        """Makes a model where it pays; returns whether this is the model."""
        now = time.monotonic()
        often, self.asked = now - self.asked < settings.get("often", OFTEN), now
        if not self.wanted or self.socket is not None or not often:
            return False
        ours, theirs = _socket.socketpair()
        self.began, self.clocks = now, clocks()
        found = fork()
        if found == 0:
            os.dup2(theirs.fileno(), CHANNEL, False)
            os.close(CONTROL)
            ours.close()
            theirs.close()
            prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
            if os.getppid() != daemon:
                os._exit(0)
            return True
        theirs.close()
        if found < 0:
            ours.close()
            self.wanted = False
            return False
        self.socket = ours
        if settings.get("often"):
            self.listen(SLOW)
        return False


def is_model(spare, at, modules):
    """Tells whether what ran comes to the same for each call, and nothing that is there would be shared by them."""
    if at.startswith("event"):
        return False  # an effect is under way: a fork in the midst of a thread's start takes that for lost
    hook, watch = spare.hook, spare.watch
    descriptors = set(spare.descriptors())
    for fd in descriptors - {0, 1, 2, CHANNEL, CONTROL, *KEPT.values()}:
        try:
            os.fstat(fd)
            return False
        except OSError:
            pass  # the listing's own
    return (
        watch.strange is None and hook.strange is None
        and os.stat("/proc/self/task").st_nlink == 3
        and all(path in modules or os.path.isdir(path) for path in hook.read)
        and not any(path.endswith(tuple(_imp.extension_suffixes())) for path in modules)
    )  # fmt: skip


def multiply(report):
    """Forks a spare for each request of the parent, until the time is over; returns in the spares only."""
    global pages
    pages = Pages(libc)
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, CHANNEL)
    space = _socket.CMSG_SPACE(32)
    end = model.began + settings["spare_age"]
    report = dumps(report)[1:]
    tell("ready")
    while True:
        try:
            control.settimeout(max(end - time.monotonic(), 0.001))
            kind, ancillary, _, _ = control.recvmsg(1, space, CLOEXEC)
        except OSError:
            os._exit(0)
        descriptors = descriptors_of(ancillary)
        # By a clock that was set nobody can tell which files have changed since.
        if not kind or len(descriptors) != 1 or abs(clocks() - model.clocks) > 0.01:
            os._exit(0)
        if fork() == 0:
            control.detach()
            os.dup2(descriptors[0], CHANNEL, False)
            os.close(descriptors[0])
            refresh()
            attach(0, daemon, '\nwaiting {"age": %d, %s' % ((time.monotonic() - model.began) * 1000 + 1, report))
            pages.take()
            return
        os.close(descriptors[0])
