# spare: environment
import os
import posix
import sys

print(sorted(key for key in os.environ), len(os.environ), "EACH_ONE" in os.environ, sys.argv)
print(list(os.environ.items()))
print(type(os.environ), type(os.environ._data), os.environ._data is os.environb._data)
print(sorted(posix.environ))
