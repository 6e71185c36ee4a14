# spare: argv
import sys

sys.argv[0] = "name"
print(sys.argv)
