# spare: argv
# known: depth
import sys


def deep(n):
    return deep(n + 1)


print(sys.getrecursionlimit(), len(sys.argv))
deep(0)
