# Behind the probe's own text, up to its start: a warm worker's script (`executor::warm`), run in a fork for each plugin
# that is asked. Its arguments are the report, the working directory, the plugin's script, and the plugin's own words.
#
# Whatever is not as it would be in an interpreter of the plugin's own ends with NOT_HERE: the plugin is then asked in
# one.

import argparse  # noqa: E402
import builtins  # noqa: E402
import json  # noqa: E402, F401
from importlib.machinery import SourceFileLoader  # noqa: E402

NOT_HERE = 70


def become(report, directory, script, words):
    """Makes this process what a start of the script would be, and returns the code and where it runs."""
    home = os.path.dirname(script)
    names = {entry.partition(".")[0] for entry in os.listdir(home)}
    if "__main__" in names or not names.isdisjoint(sys.modules):
        os._exit(NOT_HERE)  # a module of the plugin's own, of which another is loaded
    os.chdir(directory)
    if sys.path and sys.path[0] == os.path.dirname(__file__):
        sys.path[0] = home
    sys.argv[:] = [script] + words
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = [sys.executable, script] + words
    with open(script, "rb") as file:
        source = file.read()
    code = compile(source, script, "exec", dont_inherit=True)
    main = type(sys)("__main__")
    space = main.__dict__
    for name in ("__annotations__", "__cached__"):
        if name in globals():
            space[name] = {} if name == "__annotations__" else None
    space.update(__builtins__=builtins, __file__=script, __loader__=SourceFileLoader("__main__", script))
    sys.modules["__main__"] = main
    Watch(report).patch(argparse)
    return code, space


exec(*become(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
