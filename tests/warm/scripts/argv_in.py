# spare: argv
import sys

print("--help" in sys.argv, "a" in sys.argv)
