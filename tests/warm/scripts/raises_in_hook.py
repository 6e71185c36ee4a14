# spare: argv
import sys


def hook(kind, error, trace):
    print("hooked", kind.__name__, error, trace.tb_frame.f_code.co_name, file=sys.stderr)
    raise RuntimeError("in the hook")


sys.excepthook = hook
raise ValueError(sys.argv[1])
