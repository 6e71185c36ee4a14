# spare: argv
import sys

print(["", "a"] < sys.argv)
