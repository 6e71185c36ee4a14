# spare: event builtins.input
# stdin: a line
import sys

print(input("name? "), sys.argv)
