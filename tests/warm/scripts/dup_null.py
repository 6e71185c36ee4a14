# spare: argv
import os
import sys

null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 1)
print("unheard", flush=True)
print(sys.argv[1:], file=sys.stderr)
print("unheard", flush=True)
