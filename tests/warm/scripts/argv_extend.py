# spare: argv
import sys

words = ["x"]
words.extend(sys.argv)
words[1:1] = sys.argv
print(words)
