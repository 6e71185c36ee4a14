# spare: argv
import sys

words = alias = ["first"]
words += sys.argv
print(alias)
