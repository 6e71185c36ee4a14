# spare: ends
import sys

sys.argv = ["own", "words"]
print(sys.argv)
