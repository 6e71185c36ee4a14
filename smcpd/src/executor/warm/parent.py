"""A warm worker's program, part 8 of 8: the parent, and the order of everything (see waiting.py for that of the parts).

By `bootstrap.py` came `control`, the socket to the daemon, on descriptor 0. On it the parent reads its settings and
answers one line of JSON: `{"ready": ...}`, or `{"unfit": REASON}` and leaves. It then forks a child for each request
(`serve`): a byte, `S` for a spare or `F` for a fork, with the child's channel as a descriptor. It hands the request on
where it has a model to make the spare; with `O` for `S` it does not, and lets go of the model.
"""

import gc
import os
import sys

import _imp
import _socket
import ctypes
import json


def say(document):
    control.sendall(dumps(document).encode() + b"\n")


def read(length):
    data = b""
    while len(data) < length:
        piece = control.recv(length - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


# --- Serving


def sibling():
    """Returns what forks a child that is the daemon's from its first moment on, or None where that cannot be had.

    It is `fork` with CLONE_PARENT, which no library offers: Python's own part of a fork is around the system call, and
    of the C library's what a process without threads has. Handlers that others registered with `pthread_atfork` do
    not run, so nobody else's compiled code may be loaded.
    """
    try:
        system = os.uname().machine
        clone, set_robust, get_robust = {"x86_64": (56, 273, 274), "aarch64": (220, 99, 100)}[system]
        python, word = ctypes.pythonapi, ctypes.c_ulong
        call, before, child, parent = (
            python.syscall, python.PyOS_BeforeFork, python.PyOS_AfterFork_Child, python.PyOS_AfterFork_Parent
        )
    except (KeyError, AttributeError):
        return None
    call.restype = ctypes.c_long
    before.restype = child.restype = parent.restype = None
    robust, size, own = word(), word(), word()
    if (
        sys.maxsize < 2 ** 32
        or any(path.endswith(tuple(_imp.extension_suffixes())) for path in module_files(()))
        or call(get_robust, 0, ctypes.byref(robust), ctypes.byref(size))
        or call(157 if clone == 56 else 167, 40, ctypes.byref(own))  # prctl, PR_GET_TID_ADDRESS
        or not own.value
        or ctypes.c_int.from_address(own.value).value != os.getpid()  # where glibc keeps it
    ):
        return None
    # CLONE_PARENT | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD. The order of the last two differs.
    words = [word(value) for value in (clone, 0x8000 | 0x200000 | 0x1000000 | 17, 0, 0, own.value, own.value)]
    again = [word(value) for value in (set_robust, robust.value, size.value)]

    def fork():
        before()
        found = call(*words)
        if found == 0:
            call(*again)
            child()
        else:
            parent()
        return found

    return fork


def bear():
    """Forks a child that will be the daemon's: returns there who was between, or 0, and None here."""
    if fork is not None:
        found = fork()
        if found >= 0:
            return None if found else 0
        # The first process of a namespace may not do that, nor one whom a filter forbids it.
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return None
    middle = os.getpid()
    try:
        if os.fork():
            os._exit(0)
    except OSError as error:
        leave("refused cannot fork: %s" % error)
    return middle


def serve(daemon):
    """Forks a child for each request; returns in the children only, with the request's kind, or `M` in a model."""
    space = _socket.CMSG_SPACE(32)
    while True:
        try:
            kind, ancillary, _, _ = control.recvmsg(1, space, CLOEXEC)
        except OSError:
            os._exit(0)
        descriptors = descriptors_of(ancillary)
        if not kind and not descriptors:
            os._exit(0)
        if len(descriptors) != 1:
            for fd in descriptors:
                os.close(fd)
            continue
        if kind == b"O":
            model.outdated()
            kind = b"S"
        elif kind == b"S":
            if model.serve(descriptors[0]):
                os.close(descriptors[0])
                continue
            if model.consider():
                os.close(descriptors[0])
                return b"M"
            if model.ready and model.serve(descriptors[0]):
                os.close(descriptors[0])
                continue
        os.dup2(descriptors[0], CHANNEL, False)
        os.close(descriptors[0])
        try:
            if kind not in (b"S", b"F"):
                raise Refused("a request is `S` or `F`")
            middle = bear()
            if middle is not None:
                os.close(CONTROL)
                model.close()
                attach(middle, daemon)
                return kind
        except (Refused, OSError) as error:
            try:
                tell("refused %s" % error)
            except OSError:
                pass
        os.close(CHANNEL)


def refresh():
    """Gives a child what must be its own."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process._current_process._config["authkey"] = process.AuthenticationString(os.urandom(32))
    threading = sys.modules.get("threading")
    if threading is not None and hasattr(threading.main_thread(), "_set_native_id"):
        threading.main_thread()._set_native_id()
    gc.enable()


dumps = json.dumps
daemon = os.getppid()
early = []
# The script's own environment and streams, from here on: descriptor 0 is a spare's pipe or a call's stdin.
os.dup2(0, CONTROL, False)
control.detach()
# What the daemon itself was started with is none of a plugin's business.
for name in os.listdir("/proc/self/fd"):
    if int(name) > 2 and int(name) != CONTROL:
        try:
            os.close(int(name))
        except OSError:
            pass  # the listing's own
control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, CONTROL)
settings = json.loads(read(int.from_bytes(read(4), "little")))
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
os.close(null)
try:
    check()
    try:
        libc = ctypes.CDLL(None)
        prctl, fflush = libc.prctl, libc.fflush
    except (OSError, AttributeError):
        raise Unfit("there is no prctl")
    placeholder = take_mark()
    born = frozenset(os.environ._data)
    in_order = list(os.environ._data) == sorted(born)
    can_rise = settings.get("idle", True) and may_rise()
    had_annotations = "__annotations__" in sys.modules["__main__"].__dict__
    notes = []
    gc.disable()
    standard_output()
    script = apart(compiled)
    if not isinstance(script, tuple):
        raise Unfit("cannot compile the script: %s" % (script or "the compiler dies of it"))
    source, code = script
    del script
    prepare(notes)
    sys.argv = [settings["script"]]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = list(settings["orig_argv"])
    refuse_strays()
    find, missing = quick_find()
    traps = make_traps(find)
    fork = sibling()
    model = Model()
    known_modules = frozenset(sys.modules) - {"__main__"}
    ready = {
        "version": "%d.%d.%d" % sys.version_info[:3],
        "modules": len(sys.modules),
        "said": notes,
        "files": sorted(module_files(()) | {settings["script"]} | set(missing)),
    }
    gc.collect()
    if hasattr(ctypes.pythonapi, "malloc_trim"):
        ctypes.pythonapi.malloc_trim(ctypes.c_size_t(0))
    gc.freeze()
    ready["kib"] = resident()
    say({"ready": ready})
except Unfit as reason:
    say({"unfit": " ".join(str(reason).split())})
    os._exit(0)
kind = serve(daemon)
refresh()
spare = None if kind == b"F" else Spare(Watch() if kind == b"M" else None)
try:
    spare.begin() if spare else begin()
except Refused as reason:
    leave("refused %s" % reason)
finish(*run(spare))
