# spare: argv
import sys

print(len(sys.argv))
sys.exit()
