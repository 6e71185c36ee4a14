# spare: argv
import os
import sys

print("before")
print("err before", file=sys.stderr)
os.write(1, b"raw before\n")
sys.stdout.write("no newline, ")
print("after", sys.argv[1:])
os.write(2, b"raw after\n")
