# spare: blocks
# stdin: some text
import sys

text = sys.stdin.read()
print(text.upper(), sys.argv)
