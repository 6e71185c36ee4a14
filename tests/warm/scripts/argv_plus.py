# spare: argv
import sys

print([1] + sys.argv)
