# spare: argv
from sys import argv
import sys

sys.argv = ["own"]
print(argv[1:], sys.argv)
