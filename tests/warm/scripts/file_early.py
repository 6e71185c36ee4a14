# spare: event open
import sys

with open("log.txt", "a") as file:
    file.write("started\n")
with open("log.txt", "a") as file:
    file.write("%s\n" % sys.argv[1:])
