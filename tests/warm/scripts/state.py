# spare: argv
import builtins
import gc
import locale
import os
import resource
import sys
import time
import warnings

print(len(sys.argv))
print(sys.flags, sys.path, sys.warnoptions, sys._xoptions, sys.executable, sys.prefix, sys.dont_write_bytecode)
print(sorted(os.listdir("/proc/self/fd")), os.getcwd(), oct(os.umask(0)), os.nice(0), os.sched_getscheduler(0))
print([os.readlink("/proc/self/fd/%d" % fd).partition(":")[0] for fd in (0, 1, 2)])
print([os.get_inheritable(fd) for fd in (0, 1, 2)], [os.get_blocking(fd) for fd in (0, 1, 2)])
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream, stream.line_buffering, stream.write_through, stream.errors, stream.isatty(), stream.buffer)
    print(stream is getattr(sys, "__%s__" % stream.name.strip("<>")))
for stream in (sys.stdout, sys.stderr):
    print(stream.seekable(), stream.writable(), stream.readable(), stream.mode, stream.closed)
print(sorted(vars(builtins)), len(os.sched_getaffinity(0)), gc.isenabled(), gc.get_threshold())
print(warnings.filters, locale.setlocale(locale.LC_ALL), time.tzname, sys.getswitchinterval())
print(sys.getrecursionlimit(), sys.gettrace(), sys.getprofile(), sys.excepthook, sys.displayhook)
print(resource.getrlimit(resource.RLIMIT_NOFILE), os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid())
print(sys.meta_path, sys.path_hooks, sys.getfilesystemencoding(), sys.hash_info, getattr(sys, "last_value", None))
print(sys.exc_info(), sys.unraisablehook, hasattr(sys, "ps1"), os.getppid() > 1, sys.byteorder)
