# spare: argv
# arguments: greet --name x
import functools
import os
import sys


def command(function):
    @functools.wraps(function)
    def main(args=None, prog=None):
        args = list(sys.argv[1:] if args is None else args)
        prog = prog or os.path.basename(sys.argv[0])
        sys.exit(function(prog, args))

    return main


@command
def cli(prog, args):
    print(prog, args)
    return len(args)


if __name__ == "__main__":
    cli()
