# spare: argv
import sys

if sys.argv is "x":
    pass
print("\d", sys.argv[1:])
