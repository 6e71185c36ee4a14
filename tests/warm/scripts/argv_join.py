# spare: argv
import sys

print(" ".join(sys.argv))
