# spare: argv
import sys

me, one, two = sys.argv
print(one, two)
