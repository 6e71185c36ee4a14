# spare: argv
import os
import sys

sys.stdout.write("lost in a buffer")
os._exit(len(sys.argv))
