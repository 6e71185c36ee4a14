# spare: argv
import sys

sys.exit(len(sys.argv) > 1)
