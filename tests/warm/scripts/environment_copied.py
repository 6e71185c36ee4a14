# spare: environment
import os
import sys

BEFORE = os.environ.copy()
print(BEFORE, sys.argv)
