# spare: argv
import sys

del sys.argv[0]
print(sys.argv)
