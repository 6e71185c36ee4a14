# spare: argv
import sys

print("x" * (1 << 20) + sys.argv[1])
