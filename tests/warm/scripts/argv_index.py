# spare: argv
import sys

try:
    print(sys.argv[9])
except IndexError as error:
    print(error)
