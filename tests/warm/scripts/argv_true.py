# spare: argv
# arguments:
import sys

print("yes" if sys.argv else "no", sys.argv[1:])
