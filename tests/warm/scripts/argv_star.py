# spare: argv
import sys

_, *rest = sys.argv
print(rest)
