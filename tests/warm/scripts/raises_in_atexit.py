# spare: argv
import atexit
import sys


def fails():
    print("runs")
    raise ValueError(sys.argv[1:])


def leaves():
    sys.exit(9)


atexit.register(print, "first registered, last run")
atexit.register(fails)
atexit.register(leaves)
print(sys.argv)
