# spare: argv
import sys

if sys.version_info >= (3, 11):
    error = ExceptionGroup("several", [ValueError(sys.argv[1]), KeyError("k")])  # noqa: F821
    error.add_note("a note")
else:
    error = ValueError(sys.argv[1])
raise error
