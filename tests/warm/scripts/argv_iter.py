# spare: argv
import sys

for number, word in enumerate(sys.argv):
    print(number, word)
