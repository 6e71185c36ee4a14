# spare: argv
import sys

if len(sys.argv) > 1:
    print("some")
else:
    print("none")
