# spare: argv
import sys

print(sorted(sys.argv), max(sys.argv))
