# spare: argv
import copy
import sys

print(copy.deepcopy({"a": sys.argv}))
