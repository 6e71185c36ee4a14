# spare: argv
import random
import sys

random.seed(5)
print(random.random(), len(sys.argv), random.random())
print(hash(1.5), hash((1, 2)))
