# spare: event open
import sys


def inner(value):
    return [int(word) for word in value]


def outer():
    file = open("unclosed.txt", "w")
    file.write("text in a buffer")
    sys.stdout.write("no newline")
    return inner(sys.argv[1:]), file


outer()
