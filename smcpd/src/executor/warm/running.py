"""A warm worker's program, part 6 of 8: a child runs the plugin's code and ends (see waiting.py for the order).

`run` makes a fresh `__main__` and executes the code in it; whatever the code ends with is told as the interpreter
tells it. `finish` does what a program can observe of an interpreter's end: threads are joined, exit handlers run, what
waits in a buffer is written, finalizers run if there is any that would do something. Third-party modules are not taken
down: that costs more than most calls.
"""

import gc
import os
import sys

import _signal as signal
import atexit
import builtins
import weakref
from _io import BufferedRandom, BufferedRWPair, BufferedWriter, FileIO, TextIOWrapper
from importlib.machinery import SourceFileLoader as Loader

BUFFERED = (TextIOWrapper, BufferedWriter, BufferedRandom, BufferedRWPair)
NEWER = sys.version_info >= (3, 14)


# --- The plugin's code


def new_main():
    """Returns a module `__main__` as a script finds it, put in its place."""
    main = type(sys)("__main__")
    space = main.__dict__
    if had_annotations:
        space["__annotations__"] = {}
    space["__builtins__"] = builtins
    space["__file__"] = settings["script"]
    if sys.version_info < (3, 15):
        space["__cached__"] = None
    space["__loader__"] = Loader("__main__", settings["script"])
    sys.modules["__main__"] = main
    return space


def run(spare):
    """Runs the code and returns the status that it ends with, once what it has to say about that is said."""
    space = new_main()
    try:
        # What compiling warns of, each run warns of.
        exec(code or compile(source, settings["script"], "exec", dont_inherit=True), space)
        ended = frames = None
    except SystemExit as error:
        ended, frames = error, None
    except BaseException as error:
        ended, frames = error, error.__traceback__.tb_next
    finally:
        del space
    if spare is not None and spare.pending:
        spare.ended(ended, frames)
    if frames is None:
        found = 0 if ended is None else exit_status(ended), False
    else:
        found = uncaught(ended, frames), type(ended) is KeyboardInterrupt
    # A traceback's frames lead back to this one: what holds them here would make a circle of it.
    ended = frames = None
    return found


def exit_status(error):
    """Does as the interpreter does with a SystemExit."""
    code = getattr(error, "code", error)
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 255 if -(2 ** 63) <= code < 2 ** 63 else 255
    try:
        if sys.stderr is None:
            os.write(2, ("%s\n" % code).encode("utf-8", "backslashreplace"))
        else:
            sys.stderr.write("%s\n" % (code,))
    except Exception:
        pass
    return 1


def uncaught(error, frames, hook=None):
    """Does as the interpreter does with any other exception."""
    error.__traceback__ = frames
    kind = type(error)
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, frames
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    if hook is None:
        sys.audit("sys.excepthook", getattr(sys, "excepthook", None), kind, error, frames)
        hook = getattr(sys, "excepthook", None)
    if hook is None:
        print("sys.excepthook is missing", file=sys.stderr)
        hook = sys.__excepthook__
    try:
        hook(kind, error, frames)
    except SystemExit as leaving:
        return exit_status(leaving)
    except BaseException as second:
        print("Error in sys.excepthook:", file=sys.stderr)
        second.__traceback__ = second.__traceback__.tb_next
        sys.__excepthook__(type(second), second, second.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(kind, error, frames)
    return 1


# --- The end


def finish(status, interrupted):
    """Ends the process with all that a program can observe of an interpreter's end, and not more."""
    threading = sys.modules.get("threading")
    if threading is not None:
        try:
            threading._shutdown()
        except BaseException as error:
            unraisable(error, threading, "Exception ignored on threading shutdown" if NEWER else None)
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass  # each was reported
    if not flush_standard():
        status = 120
    try:
        files, noticed = survey()
        flush_all(files + [file for file in (ref() for ref in early) if file is not None])
        del files
        if noticed:
            forget()
            flush_all(survey()[0])
        fflush(None)
    except BaseException:
        pass
    if not flush_standard(quiet=True):
        status = 120
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    depart(status)


def depart(status):
    """Exits, and says so before: to take the memory back costs the kernel a fifth of a call, which nobody need wait for."""
    try:
        # Another thread could open a file in the place of one that is closed here.
        if os.stat("/proc/self/task").st_nlink == 3:
            prctl(15, b"smcp-ended %d" % status)  # PR_SET_NAME
            os.closerange(0, 256)
        if pages is not None:
            pages.note()
    finally:
        os._exit(status)


def flush_standard(quiet=False):
    good = True
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name, None)
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException as error:
            good = False
            if name == "stdout" and not quiet:
                unraisable(error, stream, "Exception ignored while flushing sys.stdout" if NEWER else None)
    return good


def unraisable(error, thing, message):
    """Reports an error as the interpreter reports one that it cannot raise."""
    caught = []  # a record of the kind that the hook takes, which has no name to make one by

    class Trap:
        def __del__(self):
            raise ValueError

    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
    hook, sys.unraisablehook = sys.unraisablehook, caught.append
    try:
        Trap()
    finally:
        sys.unraisablehook = hook
    try:
        hook(type(caught[0])((type(error), error, error.__traceback__, message, thing)))
    except BaseException:
        pass


GOING = (
    "path", "argv", "ps1", "ps2", "last_exc", "last_type", "last_value", "last_traceback", "path_hooks",
    "path_importer_cache", "meta_path",
)


def generators():
    async def generator():
        yield

    async def coroutine():
        pass

    waiting = coroutine()
    waiting.close()
    return type(_ for _ in ()), type(generator()), type(waiting)


GENERATORS = generators()


def survey():
    """Returns the files that text or bytes may wait in, and whether an object is alive that would notice its end.

    Such are those with a `__del__` and the plugin's generators. Only what was made since the last freeze is seen.
    """
    files, noticed, kinds = [], False, {}
    for thing in gc.get_objects():
        kind = type(thing)
        found = kinds.get(kind)
        if found is None:
            if issubclass(kind, BUFFERED):
                found = 1
            elif issubclass(kind, GENERATORS):
                found = 2
            else:
                found = 3 if hasattr(kind, "__del__") and not issubclass(kind, FileIO) else 0
            kinds[kind] = found
        if found == 1:
            files.append(thing)
        elif found == 2:
            noticed = noticed or not is_library(code_of(thing).co_filename)
        elif found == 3:
            noticed = True
    return files, noticed


def code_of(generator):
    for name in ("gi_code", "cr_code", "ag_code"):
        code = getattr(generator, name, None)
        if code is not None:
            return code


def forget():
    """Lets go of the plugin's own modules, so that what they hold is finalized as at an interpreter's end.

    Slow where a spare froze much: but then there is something to see.
    """
    gc.unfreeze()
    gc.collect()  # first what is garbage already
    for name in GOING:
        if hasattr(sys, name):
            setattr(sys, name, None)
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    root = settings["root"].rstrip("/") + "/"
    own = []
    for name, module in list(sys.modules.items()):
        if name == "__main__" or name not in known_modules:
            try:
                path = object.__getattribute__(module, "__dict__").get("__file__")
                if name == "__main__" or isinstance(path, str) and path.startswith(root):
                    own.append(weakref.ref(module))
                    sys.modules[name] = None
            except Exception:
                pass
    module = None
    gc.collect()
    for ref in own:
        module = ref()
        if module is None:
            continue
        space = module.__dict__
        for hidden in (True, False):
            for key in list(space):
                if key != "__builtins__" and isinstance(key, str):
                    if not hidden or key[:1] == "_" and key[1:2] != "_":
                        space[key] = None


def flush_all(files):
    """Flushes every file that is open still: whoever holds it is not taken down, and so would not."""
    for kind in (TextIOWrapper, object):
        for file in files:
            if issubclass(type(file), kind):
                try:
                    if not file.closed:
                        file.flush()
                except Exception:
                    pass
