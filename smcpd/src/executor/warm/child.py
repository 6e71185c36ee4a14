"""A warm worker's program, part 3 of 8: how a child comes to be and takes its call over (see waiting.py for the order).

A *fork* child gets its call first (`begin`), then runs the plugin's code. A *spare* runs the code at once, on pipes of
its own, and takes the call over where it waits (`Spare.wait`), deep inside that code. On the channel to the daemon
each writes, a line each: `pid N`; a spare then `waiting JSON`, or `ended JSON` and leaves; and `running` once the call
is in place. `refused REASON` may come instead of either: nothing of the call has run then.

Little is touched on the way: each page written to after a fork is copied. Nothing is imported after the fork.
"""

import gc
import os
import sys

import _signal as signal
import _socket
import ctypes
import posix
import time
import weakref

CHANNEL = 250  # the plugin's own descriptors shall begin at 3, as in a cold start
CONTROL = 251
KEPT = {0: 252, 1: 253, 2: 254}  # the far ends of a spare's three pipes
LONGEST = 8 << 20
CLOEXEC = 0x40000000  # MSG_CMSG_CLOEXEC


class Refused(Exception):
    """The child cannot run the call; nothing of the call has run."""


def tell(line):
    """Writes a line on the channel; a daemon that is gone is not the child's trouble."""
    data = line.encode("utf-8", "replace") + b"\n"
    while data:
        data = data[os.write(CHANNEL, data) :]


def leave(line=None):
    """Ends the process, and nothing of the plugin's with it: it has not run a call."""
    try:
        if line:
            tell(line)
    finally:
        os._exit(0)


# --- The start


def attach(middle, daemon, more=""):
    """Sees that the process is a child of the daemon, once `middle` is gone, and ties its life to the daemon's.

    It tells its pid, and `more` with it: two lines told apart wake the daemon twice.
    """
    os.setpgid(0, 0)
    tries = 0
    while os.getppid() == middle:
        tries += 1
        time.sleep(0 if tries < 50 else 0.0002)
    prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    # A daemon that died before the line above took effect would have left us behind.
    if os.getppid() != daemon:
        os._exit(0)
    tell("pid %d%s" % (os.getpid(), more))


# --- The call


class Call:
    """What the daemon sent: arguments, variables, and descriptors for 0, 1 and 2."""

    def __init__(self, arguments, variables, descriptors):
        self.arguments = arguments
        self.variables = variables
        self.descriptors = descriptors


def descriptors_of(ancillary):
    found = []
    for level, kind, data in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            whole = len(data) - len(data) % 4
            found += [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, whole, 4)]
    return found


def receive():
    """Reads the call from the channel; returns None if the daemon wants none of this child."""
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, CHANNEL)
    data, descriptors, length = b"", [], None
    try:
        while length is None or len(data) < length:
            if descriptors:
                piece = channel.recv(65536 if length is None else min(length - len(data), 1 << 20))
            else:
                piece, ancillary, _, _ = channel.recvmsg(16384, _socket.CMSG_SPACE(32), CLOEXEC)
                descriptors = descriptors_of(ancillary)
            if not piece:
                return None
            data = data + piece if data else piece
            if length is None and len(data) >= 16:
                size, arguments, variables, _ = (
                    int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8, 12)
                )
                if size > LONGEST:
                    raise Refused("the call is of %d bytes" % size)
                length = 16 + size
    except OSError:
        return None
    finally:
        channel.detach()
    words = data[16:length].split(b"\0")
    if len(descriptors) != 3:
        raise Refused("the call came with %d descriptors" % len(descriptors))
    if len(data) != length or words.pop() or len(words) != arguments + variables:
        raise Refused("the call is malformed")
    pairs = [word.partition(b"=") for word in words[arguments:]]
    if not all(name and equals for name, equals, _ in pairs):
        raise Refused("a variable of the call is malformed")
    return Call(
        [os.fsdecode(word) for word in words[:arguments]],
        [(name, value) for name, _, value in pairs],
        descriptors,
    )


def begin():
    """Takes the call of a fork child over, before any code runs."""
    call = receive()
    if call is None:
        os._exit(0)
    take_over(call, ((0, 0, True), (1, 1, True), (2, 2, True)), (), (sys.argv, getattr(sys, "orig_argv", [])))


def take_over(call, plan, said, lists):
    """Puts what belongs to the call in its place, and tells the daemon that the plugin's code runs."""
    for which, data in said:
        try:
            while data:
                data = data[os.write(call.descriptors[which], data) :]
        except OSError:
            pass
    for fd, which, inheritable in plan:
        os.dup2(call.descriptors[which], fd, inheritable)
    for fd in call.descriptors:
        os.close(fd)
    environ, raw = os.environ, posix.environ
    for name, value in call.variables:
        if name == b"SMCP_CALL_ID":
            mark(value)
        environ[os.fsdecode(name)] = os.fsdecode(value)
        raw[name] = value
    if in_order and call.variables:
        # As a cold start has it: sorted, and then what the plugin added itself.
        data = environ._data
        named = {name for name, _ in call.variables}
        items = list(dict.items(data))
        first = sorted(item for item in items if item[0] in born or item[0] in named)
        dict.clear(data)
        dict.update(data, first)
        dict.update(data, items)
    for late in lists:
        list.extend(late, call.arguments)
    tell("running")
    os.close(CHANNEL)


def mark(value):
    """Writes the call's id over its placeholder in the initial environment, where /proc/PID/environ shows it."""
    if placeholder and len(value) <= placeholder[1]:
        ctypes.memmove(placeholder[0], value.ljust(placeholder[1], b"\0"), placeholder[1])


# --- A spare


def make_traps(find):
    """Makes what waits in a spare; in the parent, since it costs more than the rest of a spare's start."""
    names = frozenset(os.fsencode(name) for name in settings["names"] if not name.endswith("*"))
    starts = tuple(os.fsencode(name[:-1]) for name in settings["names"] if name.endswith("*"))

    def is_late(key):
        return key in names or bool(starts) and isinstance(key, bytes) and key.startswith(starts)

    def wait(at):
        spare.wait(at)

    lists = [late_list(getattr(sys, name), wait) for name in ("argv", "orig_argv") if hasattr(sys, name)]
    return (late_environment(os.environ._data, is_late, wait), lists, *make_late(wait, find))


class Spare:
    """Waits, once, for the call of a child whose code is running already."""

    def __init__(self, watch=None):
        self.pending = True
        self.hook = Hook(self.wait)
        self.watch = watch

    def begin(self):
        """Lays out the traps. The pipes are the process's own: no flag set on one reaches another process."""
        for fd in (0, 1, 2):
            ends = os.pipe()
            near, far = ends if fd == 0 else ends[::-1]
            os.dup2(near, fd)
            os.dup2(far, KEPT[fd], False)
            os.close(near)
            os.close(far)
        self.pipes = {os.fstat(fd).st_ino: fd for fd in (0, 1, 2)}
        self.channel = os.fstat(CHANNEL).st_ino
        # A model is one for many calls, and shall be there before they are over.
        if can_rise and self.watch is None:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        self.data, self.lists, self.lay, self.lift = traps
        os.environ._data = os.environb._data = self.data
        for name, late in zip(("argv", "orig_argv"), self.lists):
            setattr(sys, name, late)
        self.lay()
        if self.watch is not None:
            sys.setprofile(self.watch)
        sys.addaudithook(self.hook)

    def wait(self, at):
        if not self.pending:
            return
        self.pending = self.hook.pending = False
        try:
            self.meet(at)
        except Refused as reason:
            leave("refused " + str(reason))
        except BaseException as error:
            leave("refused %s: %s" % (type(error).__name__, error))

    def meet(self, at):
        trace, profile = sys.gettrace(), sys.getprofile()
        sys.settrace(None)
        sys.setprofile(None)
        if os.fstat(CHANNEL).st_ino != self.channel:
            os._exit(0)  # the plugin closed what it did not open
        if signal.getitimer(0)[0]:
            raise Refused("a timer of the plugin is running")
        self.lift()
        plan = self.plan()
        said = [(fd, data) for fd, data in ((1, self.printed(1)), (2, self.printed(2))) if data]
        for fd in KEPT.values():
            os.close(fd)
        files, noticed = survey()
        if not noticed:
            # None of what is there now need be looked at in the end, but for text that waits in a buffer.
            early.extend(weakref.ref(file) for file in files)
            gc.freeze()
        del files
        modules = self.modules()
        report = {"at": at, "kib": resident(), "files": sorted(modules | self.hook.read)}
        if can_rise and self.watch is None:
            # Before the wait rather than after it: a busy machine would be slow to wake an idle-class process, and
            # one that waits takes no time from anybody.
            try:
                alone = os.stat("/proc/self/task").st_nlink == 3
                for task in (0,) if alone else map(int, os.listdir("/proc/self/task")):
                    os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0))
            except OSError as error:
                raise Refused("cannot leave the idle class: %s" % error)
        if self.watch is not None:
            if profile is not self.watch or trace is not None or not is_model(self, at, modules):
                os._exit(0)
            profile = None
            multiply(report)
        else:
            tell("waiting " + dumps(report))
        call = receive()
        if call is None:
            os._exit(0)
        take_over(call, plan, said, self.lists)
        self.settle()
        sys.setprofile(profile)
        sys.settrace(trace)

    def plan(self):
        """Returns which descriptors lead to which of the three, wherever the plugin has duplicated them."""
        plan = []
        for fd in self.descriptors():
            try:
                which = self.pipes.get(os.fstat(fd).st_ino)
            except OSError:
                continue  # the listing's own
            if which is not None and fd != KEPT[which]:
                if not os.get_blocking(fd):
                    raise Refused("the plugin made a standard stream non-blocking")
                plan.append((fd, which, os.get_inheritable(fd)))
        return plan

    def descriptors(self):
        """Returns all that are open, or 0, 1 and 2 where there are only these and ours."""
        # The size of that directory is how many there are, from Linux 6.2 on. To list them is dear.
        if os.stat("/proc/self/fd").st_size == 3 + len(KEPT) + 1:
            try:
                for fd in (0, 1, 2, *KEPT.values()):
                    os.fstat(fd)
                return 0, 1, 2
            except OSError:
                pass
        return [int(name) for name in os.listdir("/proc/self/fd")]

    def printed(self, fd):
        os.set_blocking(KEPT[fd], False)
        pieces = []
        try:
            while True:
                piece = os.read(KEPT[fd], 65536)
                if not piece:
                    break
                pieces.append(piece)
        except BlockingIOError:
            pass
        return b"".join(pieces)

    def modules(self):
        """Returns the files of the modules that it has loaded, and the directories they are in."""
        # To look through all that the parent has imported would touch every page of it.
        paths = module_files(known_modules) if self.hook.imports else set()
        paths.add(settings["script"])
        paths.update([os.path.dirname(path) for path in paths])
        return paths

    def settle(self):
        """Makes plain objects of those that waited."""
        for late in self.lists:
            if not become(late, list):
                for name in ("argv", "orig_argv"):
                    if getattr(sys, name, None) is late:
                        setattr(sys, name, list(late))
        if not become(self.data, dict):
            os.environ._data = os.environb._data = dict(self.data)

    def ended(self, error, frames):
        """Reports that the code ended without having waited."""
        self.pending = self.hook.pending = False
        try:
            status = exit_status(error) if frames is None else uncaught(error, frames, sys.__excepthook__)
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except Exception:
                    pass
            said = self.printed(2).decode("utf-8", "replace")[-500:]
            leave("ended " + dumps({"status": status, "said": said}))
        finally:
            os._exit(0)
