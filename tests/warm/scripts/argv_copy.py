# spare: argv
import copy
import sys

print(copy.copy(sys.argv))
