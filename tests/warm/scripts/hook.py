# spare: argv
import sys
import traceback


def hook(kind, error, trace):
    traceback.print_exception(kind, error, trace)
    print("hooked", sys.exc_info())
    sys.exit(7)


sys.excepthook = hook
raise ValueError(sys.argv[1])
