# spare: event
import multiprocessing
import sys


class Twice:
    def __init__(self, word):
        self.word = word * 2


def work(word):
    return Twice(word)


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print([twice.word for twice in pool.map(work, sys.argv[1:])])
