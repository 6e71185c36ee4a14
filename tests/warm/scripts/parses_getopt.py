# spare: argv
# arguments: -n 3 rest
import getopt
import sys

print(getopt.getopt(sys.argv[1:], "n:"))
