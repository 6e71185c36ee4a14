# spare: closes
import os
import sys

os.closerange(3, 1024)
print(sys.argv, sorted(os.listdir("/proc/self/fd")))
