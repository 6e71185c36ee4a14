# spare: argv
# file: beside.txt
import os
import sys

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "beside.txt")) as file:
    CONFIG = file.read()
print(CONFIG, sys.argv)
