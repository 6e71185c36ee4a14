"""A warm worker's program, part 5 of 5: the parent, and the order of everything (see waiting.py for that of the parts).

By `bootstrap.py` came `control`, the socket to the daemon, on descriptor 0. On it the parent reads its settings and
answers one line of JSON: `{"ready": ...}`, or `{"unfit": REASON}` and leaves. It then forks a child for each request
(`serve`): a byte, `S` for a spare or `F` for a fork, with the child's channel as a descriptor.
"""

import gc
import os
import sys

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


def serve(daemon):
    """Forks a child for each request; returns in the children only, with the request's kind."""
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
        os.dup2(descriptors[0], CHANNEL, False)
        os.close(descriptors[0])
        try:
            if kind not in (b"S", b"F"):
                raise Refused("a request is `S` or `F`")
            middle = os.fork()
            if middle == 0:
                middle = os.getpid()
                try:
                    if os.fork():
                        os._exit(0)
                except OSError as error:
                    leave("refused cannot fork: %s" % error)
                os.close(CONTROL)
                attach(middle, daemon)
                return kind
            os.waitpid(middle, 0)
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
        prctl, fflush = ctypes.CDLL(None).prctl, ctypes.CDLL(None).fflush
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
    source, code = compiled()
    prepare(notes)
    sys.argv = [settings["script"]]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = list(settings["orig_argv"])
    refuse_strays()
    traps = make_traps()
    known_modules = frozenset(sys.modules) - {"__main__"}
    ready = {
        "version": "%d.%d.%d" % sys.version_info[:3],
        "modules": len(sys.modules),
        "said": notes,
        "files": sorted(module_files(()) | {settings["script"]}),
    }
    gc.collect()
    gc.freeze()
    ready["kib"] = resident()
    say({"ready": ready})
except Unfit as reason:
    say({"unfit": " ".join(str(reason).split())})
    os._exit(0)
kind = serve(daemon)
refresh()
spare = Spare() if kind == b"S" else None
try:
    spare.begin() if spare else begin()
except Refused as reason:
    leave("refused %s" % reason)
finish(*run(spare))
