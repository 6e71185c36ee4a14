# spare: argv
import os
import sys

print("to stdout", flush=True)
kept = os.dup(1)
os.dup2(2, 1)
print("to stderr", flush=True)
os.write(kept, b"to stdout again\n")
print(sys.argv, kept, flush=True)
os.write(kept, b"late to stdout\n")
os.dup2(kept, 1)
print("back on stdout")
print(sorted(os.listdir("/proc/self/fd")))
