# spare: argv
# stdin: some text
import sys

print(len(sys.argv), sys.stdin.read())
