# spare: argv
import sys

seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event in ("os.mkdir", "open") else None)
count = len(sys.argv)
import os  # noqa: E402

del seen[:]
os.mkdir("made")
with open("made/file", "w"):
    pass
print(seen, count)
