# spare: argv
import io
import sys

sys.stdout = io.TextIOWrapper(sys.stdout.buffer, "utf-8", line_buffering=False, write_through=False)
other = open(2, "w", closefd=False)
other.write("in a buffer of its own, ")
print("wrapped é", end=" ")
print(sys.argv)
