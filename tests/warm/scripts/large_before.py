# spare: blocks
import sys

print("x" * (1 << 17))
print(sys.argv)
