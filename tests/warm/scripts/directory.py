# spare: argv
import os
import sys

os.mkdir if len(os.getcwd()) else None
os.chdir("/")
print(os.getcwd(), sys.argv, os.path.abspath("x"))
