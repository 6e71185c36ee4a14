# spare: event open
import sys

sys.argv = ["own", "words"]
print(sys.argv)
with open("written.txt", "w") as file:
    file.write(repr(sys.argv))
print(sys.argv)
