# spare: argv
import sys

try:
    print({sys.argv: 1})
except TypeError as error:
    print(error)
print(sys.argv)
