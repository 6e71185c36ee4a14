# spare: argv
import sys
import tempfile

count = len(sys.argv)
open_still = tempfile.NamedTemporaryFile("w", prefix="t")
open_still.write("x")
kept = tempfile.NamedTemporaryFile("w", delete=False, prefix="kept")
kept.write("y" * count)
directory = tempfile.TemporaryDirectory()
print(count)
