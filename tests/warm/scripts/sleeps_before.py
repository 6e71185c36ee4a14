# spare: blocks
import sys
import time

time.sleep(1.5)
print(sys.argv)
