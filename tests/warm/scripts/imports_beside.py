# spare: argv
import sys

import beside
from package import inner

print(beside.WORDS, inner.WORDS, sys.argv)
print(beside.__file__, inner.__name__)
