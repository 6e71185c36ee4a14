# spare: argv
import ctypes
import sys

libc = ctypes.CDLL(None)
libc.puts(b"before")
print(len(sys.argv), flush=True)
libc.puts(b"after")
