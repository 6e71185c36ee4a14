# spare: argv
import sys

print("%s" % sys.argv, f"{sys.argv}", repr(sys.argv))
