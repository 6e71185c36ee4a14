# spare: argv
# arguments: é $'\xff' '' 'two words' '--' '-x=1'
import os
import sys

print([os.fsencode(word) for word in sys.argv[1:]])
