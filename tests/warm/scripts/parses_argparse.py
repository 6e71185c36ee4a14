# spare: argv
# arguments: --number 3 one --flag
import argparse

parser = argparse.ArgumentParser(description="Parses %(prog)s")
parser.add_argument("--number", type=int)
commands = parser.add_subparsers(dest="command")
one = commands.add_parser("one")
one.add_argument("--flag", action="store_true")
print(parser.parse_args())
