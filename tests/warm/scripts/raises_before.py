# spare: ends
import sys

print("before")
raise RuntimeError("before " + sys.argv[0][:0])
