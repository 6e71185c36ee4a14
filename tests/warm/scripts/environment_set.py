# spare: environment EACH_TWO
import os
import sys

os.environ["EACH_TWO"] = "own"
print(os.environ["EACH_TWO"], os.environ.get("EACH_ONE"), sys.argv)
