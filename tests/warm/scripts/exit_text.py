# spare: argv
import sys

print("on stdout")
sys.exit("reason with %d arguments" % len(sys.argv))
