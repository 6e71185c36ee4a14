# spare: argv
import sys

exec("x = = %d" % len(sys.argv))
