# spare: argv
import sys

print(list(reversed(sys.argv)))
