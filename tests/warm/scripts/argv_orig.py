# spare: argv
import os
import sys

words = getattr(sys, "orig_argv", [])
print([os.path.basename(words[0])] if words else [], words[1:])
print(sys.argv, type(words))
