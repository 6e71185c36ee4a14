# spare: argv
import sys

print(list(sys.argv))
