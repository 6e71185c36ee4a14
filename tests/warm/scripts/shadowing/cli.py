# spare: argv
# directory: shadowing
import json
import sys

print(json.WHOSE, sys.argv)
