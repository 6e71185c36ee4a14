# spare: argv
import sys

sys.stdout = None
print("nothing")
sys.exit(len(sys.argv))
