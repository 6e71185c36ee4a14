# spare: argv
import sys


class Odd:
    def __init__(self, of):
        self.of = of

    def __str__(self):
        return "odd é \udcff %s" % self.of


raise SystemExit(Odd(sys.argv[1:]))
