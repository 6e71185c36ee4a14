# spare: argv
import sys


class Noisy:
    def __init__(self, name, gone=None):
        self.name = name
        self.itself = self
        self.gone = gone

    def __del__(self):
        print("deleted", self.name, type(sys).__name__, len(NAMES))


def generator():
    try:
        yield 1
    finally:
        print("generator closed")


NAMES = ["a", "b"]
a = Noisy("a")
garbage = Noisy("garbage")
del garbage
suspended = generator()
next(suspended)
b = Noisy("b", sys.argv[1:])
plain = type("Plain", (), {"__del__": lambda self: print("plain deleted")})()
print("end")
