# spare: argv
import sys


class Trouble(Exception):
    pass


def first():
    return {}[sys.argv[1]]


def second():
    try:
        first()
    except KeyError as error:
        raise Trouble("é" * 3) from error


try:
    second()
except Trouble:
    raise ValueError("again")
