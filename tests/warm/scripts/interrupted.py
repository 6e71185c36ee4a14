# spare: argv
import sys

print(sys.argv)
raise KeyboardInterrupt
