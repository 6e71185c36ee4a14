# spare: argv
import sys


class Noisy:
    def __del__(self):
        raise ValueError(sys.argv)


noisy = Noisy()
count = len(sys.argv)
del noisy
print(count)
