# spare: argv
import sys

print(sys.argv.index("a"), sys.argv.count("a"))
