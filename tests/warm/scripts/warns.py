# spare: argv
import sys
import warnings

warnings.warn("early")


def old():
    warnings.warn("old is old", DeprecationWarning, stacklevel=2)


old()
print(len(sys.argv))
old()
warnings.warn("late", UserWarning)
open("/dev/null")
