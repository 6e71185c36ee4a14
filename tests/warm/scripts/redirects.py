# spare: argv
import contextlib
import io
import sys

with contextlib.redirect_stdout(io.StringIO()) as out:
    print("caught")
    print(sys.argv)
print(repr(out.getvalue()))
