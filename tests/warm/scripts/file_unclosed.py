# spare: event open
import sys

file = open("one.txt", "w")
file.write("text " + " ".join(sys.argv[1:]))
binary = open("two.bin", "wb")
binary.write(b"\0\1")
kept = [open("three.txt", "w")]
kept[0].write("in a list")
kept.append(kept)
sys.kept = open("four.txt", "w+")
sys.kept.write("held by a module of the library")
