# spare: argv
import sys

print([__file__, "a", "b c"] == sys.argv)
