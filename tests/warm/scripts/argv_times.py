# spare: argv
import sys

print(2 * sys.argv)
