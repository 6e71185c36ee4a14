# spare: argv
import sys

print(tuple(sys.argv))
