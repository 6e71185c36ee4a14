# spare: argv
import sys

print(sys.argv.pop(0) == __file__, sys.argv)
