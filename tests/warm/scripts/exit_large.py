# spare: argv
import sys

sys.exit(len(sys.argv) + 2 ** 40 + 7)
